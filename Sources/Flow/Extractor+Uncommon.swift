import Base
import Memory

/// The whole of key extraction, for every shape of frame; `extractKey` comes here with those that it does not take.
@usableFromInline @inline(never)
func extractUncommonKey(_ packet: Packet, into words: UnsafeMutablePointer<UInt64>, vlanLimit: Int) -> KeyClass {
    packet.pointee.offsetMPLS = PacketHeader.unknownOffset
    packet.pointee.offsetL3 = PacketHeader.unknownOffset
    packet.pointee.offsetL4 = PacketHeader.unknownOffset
    packet.pointee.padL2 = 0
    let length = Int(packet.pointee.length)
    let port = UInt64(packet.pointee.inPort.rawValue) &<< 32
    guard length >= 14 else {
        words[0] = port
        for i in 1..<FlowKey.coreWords { words[i] = 0 }
        return .tooShort
    }
    var reader = FrameReader(frame: UnsafeRawPointer(packet.pointee.data), length: length)
    reader.words[0] = port
    reader.readFrame(packet, vlanLimit: vlanLimit <= 0 ? 2 : min(vlanLimit, 2))

    for i in 0..<FlowKey.coreWords { words[i] = reader.words[unchecked: i] }
    var any: UInt64 = 0
    for i in FlowKey.coreWords..<FlowKey.packetWords { any |= reader.words[unchecked: i] }
    guard any != 0 else { return .core }
    for i in FlowKey.coreWords..<FlowKey.packetWords { words[i] = reader.words[unchecked: i] }
    return .extended
}

/// Reads the network header at `offset`, as of a frame whose labels were popped, and what is above it.
///
/// - Parameter words: gets the packet words of a key, with nothing of layer 2 in them. The packet's transport offset and
///   padding are set, its network offset is left alone.
public func extractNetworkKey(
    _ packet: Packet, etherType: UInt16, at offset: Int, into words: UnsafeMutablePointer<UInt64>
) {
    var reader = FrameReader(frame: UnsafeRawPointer(packet.pointee.data), length: Int(packet.pointee.length))
    packet.pointee.offsetL4 = PacketHeader.unknownOffset
    packet.pointee.padL2 = 0
    if reader.skip(offset) { reader.readNetwork(etherType, packet) }
    for i in 0..<FlowKey.packetWords { words[i] = reader.words[unchecked: i] }
}

/// A place in a frame, how many bytes may still be read from there, and the key so far.
struct FrameReader {
    let frame: UnsafeRawPointer
    /// Offset of the next header.
    var at: Int
    /// Bytes from `at` to the end of what the enclosing header says is there.
    var left: Int
    var words: InlineArray<17, UInt64>

    init(frame: UnsafeRawPointer, length: Int) {
        self.frame = frame
        at = 0
        left = length
        words = InlineArray(repeating: 0)
    }

    /// Steps over `count` bytes, or returns false and stays.
    @inline(__always) mutating func skip(_ count: Int) -> Bool {
        guard left >= count else { return false }
        at &+= count
        left &-= count
        return true
    }

    @inline(__always) func byte(_ offset: Int) -> UInt8 { frame.byte(at &+ offset) }
    @inline(__always) func be16(_ offset: Int) -> UInt16 { frame.be16(at &+ offset) }
    @inline(__always) func be32(_ offset: Int) -> UInt32 { frame.be32(at &+ offset) }
    @inline(__always) func be48(_ offset: Int) -> UInt64 { frame.be48(at &+ offset) }
    @inline(__always) func be64(_ offset: Int) -> UInt64 { frame.be64(at &+ offset) }

    /// Adds a field to the key; it was zero so far.
    @inline(__always) mutating func put(_ slot: Slot, _ value: UInt64) {
        words[unchecked: slot.word] |= value &<< UInt64(slot.shift)
    }
    @inline(__always) mutating func put(_ slot: Slot, _ value: UInt32) { put(slot, UInt64(value)) }
    @inline(__always) mutating func put(_ slot: Slot, _ value: UInt16) { put(slot, UInt64(value)) }
    @inline(__always) mutating func put(_ slot: Slot, _ value: UInt8) { put(slot, UInt64(value)) }
    /// Copies the 16 bytes at `offset` into a field of 128 bits.
    @inline(__always) mutating func putWide(_ slot: Slot, _ offset: Int) {
        words[unchecked: slot.word] = be64(offset)
        words[unchecked: slot.word &+ 1] = be64(offset &+ 8)
    }

    /// The frame is at least an Ethernet header long.
    mutating func readFrame(_ packet: Packet, vlanLimit: Int) {
        put(.ethDst, be48(0))
        put(.ethSrc, be48(6))
        at = 12
        left &-= 12
        readTags(vlanLimit)
        let type = readEtherType()
        put(.ethType, type)
        if type == EtherType.mpls || type == EtherType.mplsMulticast {
            packet.pointee.offsetMPLS = offset16
            readLabels()
        }
        packet.pointee.offsetL3 = offset16
        readNetwork(type, packet)
    }

    /// The network header, which `at` stands at, and what is above it.
    mutating func readNetwork(_ type: UInt16, _ packet: Packet) {
        let transport: Transport?
        switch type {
        case EtherType.ipv4: transport = readIPv4(packet)
        case EtherType.ipv6: transport = readIPv6(packet)
        case EtherType.arp, EtherType.rarp:
            readARP()
            return
        default: return
        }
        guard let transport else { return }
        packet.pointee.offsetL4 = offset16
        put(.nwProto, transport.ipProtocol)
        put(.nwFrag, transport.fragment)
        if transport.fragment & UInt8(FragmentBits.later) == 0 { readTransport(transport.ipProtocol) }
    }

    /// `at`, as the packet header holds it.
    var offset16: UInt16 { at < 0xffff ? UInt16(truncatingIfNeeded: at) : PacketHeader.unknownOffset }

    /// VLAN tags; a tag counts if two more bytes (an EtherType) follow it.
    mutating func readTags(_ limit: Int) {
        var count = 0
        while count < limit, left >= 6 {
            let type = be16(0)
            guard type == EtherType.vlan || type == EtherType.serviceVLAN else { return }
            let tci = be16(2) | 0x1000
            if count == 0 {
                put(.vlanTPID, type)
                put(.vlanTCI, tci)
            } else {
                put(.innerVlanTPID, type)
                put(.innerVlanTCI, tci)
            }
            at &+= 4
            left &-= 4
            count &+= 1
        }
    }

    /// The type of what follows; at least two bytes are left.
    mutating func readEtherType() -> UInt16 {
        let type = be16(0)
        at &+= 2
        left &-= 2
        if type >= EtherType.minimum { return type }
        // IEEE 802.2 and RFC 1042: DSAP, SSAP 0xaa, control 3, organisation 0, then an EtherType.
        guard left >= 8, be32(0) == 0xaaaa_0300, be16(4) == 0 else { return EtherType.notEthernetII }
        let inner = be16(6)
        at &+= 8
        left &-= 8
        return inner >= EtherType.minimum ? inner : EtherType.notEthernetII
    }

    /// The label stack, to its bottom or to the end of the frame.
    mutating func readLabels() {
        var count = 0
        while left >= 4 {
            let entry = be32(0)
            at &+= 4
            left &-= 4
            switch count {
            case 0: put(.mpls0, entry)
            case 1: put(.mpls1, entry)
            case 2: put(.mpls2, entry)
            default: break
            }
            count &+= 1
            if entry & 0x100 != 0 { return }
        }
    }

    mutating func readARP() {
        // Hardware type Ethernet, protocol type IPv4, lengths 6 and 4.
        guard left >= 28, be64(0) &>> 16 == 0x0001_0800_0604 else { return }
        let operation = be16(6)
        if operation <= 0xff { put(.nwProto, operation) }
        put(.arpSHA, be48(8))
        put(.ipv4Src, be32(14))
        put(.arpTHA, be48(18))
        put(.ipv4Dst, be32(24))
    }
}
