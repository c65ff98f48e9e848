/// Where a field lies in a `FlowKey`: a run of `width` bits that starts `shift` bits above the lowest bit of word
/// `word`; 128-bit fields take `word` (high half) and `word + 1`.
public struct Slot: Hashable, Sendable {
    public let word: Int
    public let shift: Int
    public let width: Int

    @inlinable public init(_ word: Int, _ shift: Int, _ width: Int) {
        self.word = word
        self.shift = shift
        self.width = width
    }

    /// `width` ones (64 at most) at bit 0.
    @inlinable public var lowMask: UInt64 { width >= 64 ? ~0 : (1 &<< UInt64(width)) &- 1 }
}

// The layout, once. Accessors are computed so that they fold to constants in every module.
extension Slot {
    // Word 0 to 4: the core of every frame.
    @inlinable public static var inPort: Slot { Slot(0, 32, 32) }
    @inlinable public static var ethType: Slot { Slot(0, 16, 16) }
    /// TCI of the outer VLAN tag; bit 12 (CFI) is set whenever there is a tag, as in OVS.
    @inlinable public static var vlanTCI: Slot { Slot(0, 0, 16) }
    @inlinable public static var ethDst: Slot { Slot(1, 16, 48) }
    /// 12 bits used.
    @inlinable public static var tcpFlags: Slot { Slot(1, 0, 16) }
    @inlinable public static var ethSrc: Slot { Slot(2, 16, 48) }
    /// The whole TOS or traffic class byte: DSCP in the upper six bits, ECN below.
    @inlinable public static var nwTOS: Slot { Slot(2, 8, 8) }
    @inlinable public static var nwTTL: Slot { Slot(2, 0, 8) }
    /// IPv4 source; for ARP the sender protocol address.
    @inlinable public static var ipv4Src: Slot { Slot(3, 32, 32) }
    @inlinable public static var ipv4Dst: Slot { Slot(3, 0, 32) }
    /// IP protocol; for ARP the operation where it is below 256, as in OVS.
    @inlinable public static var nwProto: Slot { Slot(4, 56, 8) }
    /// `FragmentBits`.
    @inlinable public static var nwFrag: Slot { Slot(4, 48, 8) }
    /// TCP, UDP or SCTP source port; ICMP type.
    @inlinable public static var tpSrc: Slot { Slot(4, 32, 16) }
    /// TCP, UDP or SCTP destination port; ICMP code.
    @inlinable public static var tpDst: Slot { Slot(4, 16, 16) }
    @inlinable public static var vlanTPID: Slot { Slot(4, 0, 16) }
    // Word 5 to 16: the rest of what a frame can carry.
    @inlinable public static var innerVlanTPID: Slot { Slot(5, 48, 16) }
    @inlinable public static var innerVlanTCI: Slot { Slot(5, 32, 16) }
    /// 20 bits used.
    @inlinable public static var ipv6Label: Slot { Slot(5, 0, 32) }
    @inlinable public static var ipv6Src: Slot { Slot(6, 0, 128) }
    @inlinable public static var ipv6Dst: Slot { Slot(8, 0, 128) }
    /// ARP sender hardware address; ND source link-layer address option.
    @inlinable public static var arpSHA: Slot { Slot(10, 16, 48) }
    @inlinable public static var ndOptionsType: Slot { Slot(10, 8, 8) }
    /// ARP target hardware address; ND target link-layer address option.
    @inlinable public static var arpTHA: Slot { Slot(11, 16, 48) }
    @inlinable public static var ndTarget: Slot { Slot(12, 0, 128) }
    /// Whole label stack entries, outermost first: label 20, traffic class 3, bottom of stack 1, TTL 8.
    @inlinable public static var mpls0: Slot { Slot(14, 32, 32) }
    @inlinable public static var mpls1: Slot { Slot(14, 0, 32) }
    @inlinable public static var mpls2: Slot { Slot(15, 32, 32) }
    @inlinable public static var igmpGroup: Slot { Slot(15, 0, 32) }
    @inlinable public static var ndReserved: Slot { Slot(16, 32, 32) }
    /// Name space in the upper, type in the lower 16 bits; 0 is Ethernet.
    @inlinable public static var packetType: Slot { Slot(16, 0, 32) }
    // Word 17 to 27: metadata of the datapath and of conntrack.
    @inlinable public static var pktMark: Slot { Slot(17, 32, 32) }
    @inlinable public static var skbPriority: Slot { Slot(17, 0, 32) }
    @inlinable public static var dpHash: Slot { Slot(18, 32, 32) }
    @inlinable public static var recircID: Slot { Slot(18, 0, 32) }
    @inlinable public static var ctMark: Slot { Slot(19, 32, 32) }
    @inlinable public static var ctZone: Slot { Slot(19, 16, 16) }
    @inlinable public static var ctState: Slot { Slot(19, 8, 8) }
    @inlinable public static var ctNwProto: Slot { Slot(19, 0, 8) }
    @inlinable public static var ctLabel: Slot { Slot(20, 0, 128) }
    @inlinable public static var ctIPv4Src: Slot { Slot(22, 32, 32) }
    @inlinable public static var ctIPv4Dst: Slot { Slot(22, 0, 32) }
    @inlinable public static var ctTpSrc: Slot { Slot(23, 48, 16) }
    @inlinable public static var ctTpDst: Slot { Slot(23, 32, 16) }
    @inlinable public static var ctIPv6Src: Slot { Slot(24, 0, 128) }
    @inlinable public static var ctIPv6Dst: Slot { Slot(26, 0, 128) }
    // Word 28 to 36 and 47 to 79: the tunnel that a packet came through or will go through.
    @inlinable public static var tunID: Slot { Slot(28, 0, 64) }
    @inlinable public static var tunIPv4Src: Slot { Slot(29, 32, 32) }
    @inlinable public static var tunIPv4Dst: Slot { Slot(29, 0, 32) }
    @inlinable public static var tunFlags: Slot { Slot(30, 48, 16) }
    @inlinable public static var tunTOS: Slot { Slot(30, 40, 8) }
    @inlinable public static var tunTTL: Slot { Slot(30, 32, 8) }
    @inlinable public static var tunTpSrc: Slot { Slot(30, 16, 16) }
    @inlinable public static var tunTpDst: Slot { Slot(30, 0, 16) }
    @inlinable public static var tunIPv6Src: Slot { Slot(31, 0, 128) }
    @inlinable public static var tunIPv6Dst: Slot { Slot(33, 0, 128) }
    @inlinable public static var tunGBPID: Slot { Slot(35, 48, 16) }
    @inlinable public static var tunGBPFlags: Slot { Slot(35, 40, 8) }
    @inlinable public static var tunERSPANVersion: Slot { Slot(35, 32, 8) }
    @inlinable public static var tunERSPANIndex: Slot { Slot(35, 0, 32) }
    @inlinable public static var tunERSPANDirection: Slot { Slot(36, 56, 8) }
    @inlinable public static var tunERSPANHardwareID: Slot { Slot(36, 48, 8) }
    @inlinable public static var tunGTPUFlags: Slot { Slot(36, 40, 8) }
    @inlinable public static var tunGTPUMessageType: Slot { Slot(36, 32, 8) }
    /// One bit for each `tun_metadata` field that the packet carries.
    @inlinable public static var tunMetadataPresent: Slot { Slot(47, 0, 64) }
    /// First of 32 words (256 bytes) in which the TLV map places the `tun_metadata` fields.
    @inlinable public static var tunMetadataSpace: Slot { Slot(48, 0, 64) }
    // Word 37 to 46: OpenFlow's own, zero when a packet enters.
    @inlinable public static var metadata: Slot { Slot(37, 0, 64) }
    /// Register n, 0 to 15; an even one is the upper half of its `xreg`.
    @inlinable public static func reg(_ n: Int) -> Slot { Slot(38 &+ n &>> 1, n & 1 == 0 ? 32 : 0, 32) }
    @inlinable public static func xreg(_ n: Int) -> Slot { Slot(38 &+ n, 0, 64) }
    @inlinable public static func xxreg(_ n: Int) -> Slot { Slot(38 &+ 2 &* n, 0, 128) }
    @inlinable public static var actionSetOutput: Slot { Slot(46, 32, 32) }
    @inlinable public static var conjID: Slot { Slot(46, 0, 32) }
}

/// Bits of `Slot.nwFrag`, as OVS has them: `any` for every fragment, `later` too for all but the first.
public enum FragmentBits {
    @inlinable public static var any: UInt64 { 1 }
    @inlinable public static var later: UInt64 { 2 }
}
