/// Where the bits of a field lie in a key, and how many there are.
public struct FieldLayout: Sendable {
    public let slot: Slot
    /// Bit 0 of the field is this bit of the slot.
    public let shift: Int
    /// Bits that a subfield (`reg0[3..7]`) can name.
    public let width: Int
    /// Bytes of the field on the wire: limits the numbers that can be written for it.
    public let byteCount: Int
    /// Field bits that the key has room for. `arp_op` is 16 bits on the wire but only the lower eight are kept;
    /// `vlan_vid` has the "tag present" bit 12 above its twelve.
    public let stored: UInt128

    init(_ slot: Slot, shift: Int = 0, width: Int, byteCount: Int, stored: UInt128? = nil) {
        self.slot = slot
        self.shift = shift
        self.width = width
        self.byteCount = byteCount
        self.stored = stored ?? FieldLayout.ones(width)
    }

    /// A field that fills its slot.
    init(_ slot: Slot) {
        self.init(slot, width: slot.width, byteCount: slot.width / 8)
    }

    @inlinable public static func ones(_ count: Int) -> UInt128 {
        count >= 128 ? ~0 : (1 &<< UInt128(truncatingIfNeeded: count)) &- 1
    }

    /// A mask that selects the field as a whole, as if no mask had been written.
    public var wireMask: UInt128 { FieldLayout.ones(byteCount * 8) }
}

extension MatchField {
    /// nil for a `tun_metadata` field that no TLV map has placed.
    public var layout: FieldLayout? {
        switch self {
        case .dpHash: FieldLayout(.dpHash)
        case .recircID: FieldLayout(.recircID)
        case .packetType: FieldLayout(.packetType)
        case .conjID: FieldLayout(.conjID)
        case .tunID: FieldLayout(.tunID)
        case .tunSrc: FieldLayout(.tunIPv4Src)
        case .tunDst: FieldLayout(.tunIPv4Dst)
        case .tunIPv6Src: FieldLayout(.tunIPv6Src)
        case .tunIPv6Dst: FieldLayout(.tunIPv6Dst)
        case .tunFlags: FieldLayout(.tunFlags, width: 1, byteCount: 2)
        case .tunTTL: FieldLayout(.tunTTL)
        case .tunTOS: FieldLayout(.tunTOS)
        case .tunGBPID: FieldLayout(.tunGBPID)
        case .tunGBPFlags: FieldLayout(.tunGBPFlags)
        case .tunERSPANVersion: FieldLayout(.tunERSPANVersion, width: 4, byteCount: 1)
        case .tunERSPANIndex: FieldLayout(.tunERSPANIndex, width: 20, byteCount: 4)
        case .tunERSPANDirection: FieldLayout(.tunERSPANDirection, width: 1, byteCount: 1)
        case .tunERSPANHardwareID: FieldLayout(.tunERSPANHardwareID, width: 6, byteCount: 1)
        case .tunGTPUFlags: FieldLayout(.tunGTPUFlags)
        case .tunGTPUMessageType: FieldLayout(.tunGTPUMessageType)
        case .tunMetadata(let field): field.layout
        case .metadata: FieldLayout(.metadata)
        case .inPort: FieldLayout(.inPort, width: 16, byteCount: 2)
        case .inPortOXM: FieldLayout(.inPort)
        case .skbPriority: FieldLayout(.skbPriority)
        case .pktMark: FieldLayout(.pktMark)
        case .ctState: FieldLayout(.ctState, width: 32, byteCount: 4, stored: 0xff)
        case .ctZone: FieldLayout(.ctZone)
        case .ctMark: FieldLayout(.ctMark)
        case .ctLabel: FieldLayout(.ctLabel)
        case .ctNwProto: FieldLayout(.ctNwProto)
        case .ctNwSrc: FieldLayout(.ctIPv4Src)
        case .ctNwDst: FieldLayout(.ctIPv4Dst)
        case .ctIPv6Src: FieldLayout(.ctIPv6Src)
        case .ctIPv6Dst: FieldLayout(.ctIPv6Dst)
        case .ctTpSrc: FieldLayout(.ctTpSrc)
        case .ctTpDst: FieldLayout(.ctTpDst)
        case .reg(let n): FieldLayout(.reg(Int(n & 15)))
        case .xreg(let n): FieldLayout(.xreg(Int(n & 7)))
        case .xxreg(let n): FieldLayout(.xxreg(Int(n & 3)))
        case .actsetOutput: FieldLayout(.actionSetOutput)
        default: frameLayout
        }
    }

    /// Fields that come from the frame.
    private var frameLayout: FieldLayout? {
        switch self {
        case .ethSrc: FieldLayout(.ethSrc)
        case .ethDst: FieldLayout(.ethDst)
        case .ethType: FieldLayout(.ethType)
        case .vlanTCI: FieldLayout(.vlanTCI)
        case .dlVLAN: FieldLayout(.vlanTCI, width: 12, byteCount: 2)
        case .vlanVID: FieldLayout(.vlanTCI, width: 12, byteCount: 2, stored: 0x1fff)
        case .dlVLANPCP, .vlanPCP: FieldLayout(.vlanTCI, shift: 13, width: 3, byteCount: 1)
        case .mplsLabel: FieldLayout(.mpls0, shift: 12, width: 20, byteCount: 4)
        case .mplsTC: FieldLayout(.mpls0, shift: 9, width: 3, byteCount: 1)
        case .mplsBOS: FieldLayout(.mpls0, shift: 8, width: 1, byteCount: 1)
        case .mplsTTL: FieldLayout(.mpls0, width: 8, byteCount: 1)
        case .ipv4Src, .arpSPA: FieldLayout(.ipv4Src)
        case .ipv4Dst, .arpTPA: FieldLayout(.ipv4Dst)
        case .ipv6Src: FieldLayout(.ipv6Src)
        case .ipv6Dst: FieldLayout(.ipv6Dst)
        case .ipv6Label: FieldLayout(.ipv6Label, width: 20, byteCount: 4)
        case .nwProto: FieldLayout(.nwProto)
        case .nwTOS: FieldLayout(.nwTOS, width: 8, byteCount: 1, stored: 0xfc)
        case .ipDSCP: FieldLayout(.nwTOS, shift: 2, width: 6, byteCount: 1)
        case .nwECN: FieldLayout(.nwTOS, width: 2, byteCount: 1)
        case .nwTTL: FieldLayout(.nwTTL)
        case .ipFrag: FieldLayout(.nwFrag, width: 2, byteCount: 1)
        case .arpOp: FieldLayout(.nwProto, width: 16, byteCount: 2, stored: 0xff)
        case .arpSHA, .ndSLL: FieldLayout(.arpSHA)
        case .arpTHA, .ndTLL: FieldLayout(.arpTHA)
        case .tcpSrc, .udpSrc, .sctpSrc: FieldLayout(.tpSrc)
        case .tcpDst, .udpDst, .sctpDst: FieldLayout(.tpDst)
        case .tcpFlags: FieldLayout(.tcpFlags, width: 12, byteCount: 2)
        // The whole 16-bit word counts, so that ICMP rules have the same mask as port rules.
        case .icmpType, .icmpv6Type: FieldLayout(.tpSrc, width: 8, byteCount: 1, stored: 0xffff)
        case .icmpCode, .icmpv6Code: FieldLayout(.tpDst, width: 8, byteCount: 1, stored: 0xffff)
        case .ndTarget: FieldLayout(.ndTarget)
        case .ndReserved: FieldLayout(.ndReserved)
        case .ndOptionsType: FieldLayout(.ndOptionsType)
        default: nil
        }
    }

    public var slot: Slot? { layout?.slot }
    /// Bits that a subfield can name; 0 for a `tun_metadata` field without a place.
    public var width: Int { layout?.width ?? 0 }
}
