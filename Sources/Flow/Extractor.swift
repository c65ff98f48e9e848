import Base
import Memory

// From the bytes of a frame to the words of its key.
//
// `extractKey` runs once for each received frame, so its way through the common shape (one VLAN tag at most, IPv4
// without options, not a fragment, TCP or UDP) is inlined into the caller: six wide loads, five stores, and branches
// that all traffic of that shape takes alike. Everything else goes to `extractUncommonKey`.
//
// What the key holds follows `miniflow_extract` of Open vSwitch 3.1, field by field:
//
// - A header that is cut short, or whose lengths contradict each other or the frame, ends the extraction. What the
//   outer headers gave stays; the rest is zero and its offset unknown.
// - Bytes behind the IP packet's own length are padding. They are never read, and `padL2` says how many there are.
// - A value below 0x600 in the place of the EtherType is an 802.3 length: the type is that of the SNAP header, else
//   `EtherType.notEthernetII`.
// - Behind the last VLAN tag that may be looked at, a further tag's TPID is the EtherType.
// - MPLS hides all that is below it. Three label stack entries go into the key; the network offset lies behind the
//   whole stack.
// - IPv4 version numbers and checksums are not looked at.
// - ARP counts only with Ethernet and IPv4 addresses; an operation above 255 reads as 0.
// - ICMPv6 and IGMP are recognised by protocol number alone, also inside the other IP version.
//
// Fragments. A first fragment has its real ports (or ICMP type and code) in the key, a later one zeros, since it has
// no transport header. With `frags=normal`, OpenFlow matches must see zero ports on *every* fragment: so the table
// lookup, and it alone, replaces `tpSrc` and `tpDst` by 0 while `nwFrag` is not 0. Actions (`move`, `set_field`)
// read and write the flow's real values. Both read `nwFrag`, which therefore belongs into the mask of every IP flow.

/// What a key has besides the five core words, or why there is no key.
public enum KeyClass: UInt8, Sendable {
    /// Words 5 to 16 are zero and were not written.
    case core
    /// Words 5 to 16 were written, and at least one of them is not zero.
    case extended
    /// Less than an Ethernet header. Word 0 has the port, words 1 to 4 are zero; to be dropped as `frameTooShort`.
    case tooShort
}

/// EtherTypes that decide how a frame is read.
public enum EtherType {
    @inlinable public static var ipv4: UInt16 { 0x0800 }
    @inlinable public static var arp: UInt16 { 0x0806 }
    @inlinable public static var rarp: UInt16 { 0x8035 }
    @inlinable public static var vlan: UInt16 { 0x8100 }
    @inlinable public static var serviceVLAN: UInt16 { 0x88a8 }
    @inlinable public static var ipv6: UInt16 { 0x86dd }
    @inlinable public static var mpls: UInt16 { 0x8847 }
    @inlinable public static var mplsMulticast: UInt16 { 0x8848 }
    /// Below this it is the length of an 802.3 frame.
    @inlinable public static var minimum: UInt16 { 0x0600 }
    /// What a frame has that is neither Ethernet II nor SNAP: `OFP_DL_TYPE_NOT_ETH_TYPE`.
    @inlinable public static var notEthernetII: UInt16 { 0x05ff }
}

/// Fills words 0 to 4 of a key, and 5 to 16 if the frame needs them, and sets the packet's offsets and `padL2`.
///
/// - Parameters:
///   - words: the key's words. Words 5 to 16 must be zero on entry if the caller means to use them after `.core`.
///   - vlanLimit: how many VLAN tags are looked at: 1 or 2; 0 stands for the most there are, 2 (`vlan-limit`).
/// - Returns: whether words 5 to 16 were written.
@inlinable @inline(__always)
public func extractKey(_ packet: Packet, into words: UnsafeMutablePointer<UInt64>, vlanLimit: Int) -> KeyClass {
    let frame = UnsafeRawPointer(packet.pointee.data)
    let length = Int(packet.pointee.length)
    // Enough for the loads that come before the lengths are checked; and the padding must fit 16 bits.
    guard UInt(bitPattern: length &- 28) <= 0xffff - 28 else {
        return extractUncommonKey(packet, into: words, vlanLimit: vlanLimit)
    }
    // EtherType, version and header length, TOS, total length, identification.
    var head = frame.be64(12)
    var l3 = 14
    var tag: UInt64 = 0
    var tpid: UInt64 = 0
    let type = head &>> 48
    if type == UInt64(EtherType.vlan) || type == UInt64(EtherType.serviceVLAN) {
        tpid = type
        tag = (head &>> 32) & 0xffff | 0x1000
        head = frame.be64(16)
        l3 = 18
    }
    let fragment = frame.be16(l3 &+ 6) & 0x3fff
    let total = Int((head &>> 16) & 0xffff)
    let lifeAndProtocol = frame.be16(l3 &+ 8)
    let ipProtocol = UInt64(lifeAndProtocol & 0xff)
    let isTCP = ipProtocol == 6
    let room = length &- l3 &- total
    let transport = total &- 20
    guard head &>> 40 == 0x080045, fragment == 0, room >= 0, isTCP || ipProtocol == 17,
        transport >= (isTCP ? 20 : 8)
    else {
        return extractUncommonKey(packet, into: words, vlanLimit: vlanLimit)
    }
    let l4 = l3 &+ 20
    // Data offset and flags; of UDP, something that is there.
    let control = frame.be16(l4 &+ (isTCP ? 12 : 0))
    let headerLength = isTCP ? Int(control &>> 12) &* 4 : 20
    guard headerLength >= 20, !isTCP || headerLength <= transport else {
        return extractUncommonKey(packet, into: words, vlanLimit: vlanLimit)
    }
    let flags = UInt64(control & (isTCP ? 0x0fff : 0))
    words[0] = UInt64(packet.pointee.inPort.rawValue) &<< 32 | 0x0800_0000 | tag
    words[1] = frame.be64(0) & ~0xffff | flags
    words[2] = frame.be64(6) & ~0xffff | (head &>> 24) & 0xff00 | UInt64(lifeAndProtocol &>> 8)
    words[3] = frame.be64(l3 &+ 12)
    words[4] = ipProtocol &<< 56 | UInt64(frame.be32(l4)) &<< 16 | tpid
    packet.pointee.offsetMPLS = PacketHeader.unknownOffset
    packet.pointee.offsetL3 = UInt16(truncatingIfNeeded: l3)
    packet.pointee.offsetL4 = UInt16(truncatingIfNeeded: l4)
    packet.pointee.padL2 = UInt16(truncatingIfNeeded: room)
    return .core
}
