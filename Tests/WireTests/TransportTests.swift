import FrameSupport
import Testing
import Wire

@Suite struct TransportTests {
    @Test func tcpHeader() {
        let vector = hex("1234 0050 00000001 00000002 7 1ff 2000 abcd 0007 020405b4 01030307")
        var header = TCPHeader(sourcePort: 0x1234, destinationPort: 80)
        header.sequenceNumber = 1
        header.acknowledgment = 2
        header.flags = 0x1ff
        header.window = 0x2000
        header.checksum = 0xabcd
        header.urgentPointer = 7
        header.options = hex("020405b4 01030307")
        check(header, vector)
        let options = withView(header.options) { TCPOption.parse($0) }
        #expect(options == [.maximumSegmentSize(1460), .noOperation, .windowScale(7)])
        #expect(TCPOption.emit(options ?? []) == header.options)
        header.options = [UInt8](repeating: 1, count: 44)
        #expect(emitted(header, room: 80) == nil)
    }

    @Test func tcpOptions() {
        let options: [TCPOption] = [
            .selectiveAcknowledgmentPermitted, .timestamps(value: 0x0102_0304, echo: 5), .other(kind: 254, [9]),
            .endOfList,
        ]
        let bytes = TCPOption.emit(options)
        #expect(bytes == hex("0402 080a0102030400000005 fe0309 00"))
        #expect(withView(bytes) { TCPOption.parse($0) } == options)
        #expect(withView([2]) { TCPOption.parse($0) } == nil)
        #expect(withView([2, 1]) { TCPOption.parse($0) } == nil)
        #expect(withView([2, 5, 1]) { TCPOption.parse($0) } == nil)
        var random = SeededRandom(seed: 3)
        for _ in 0..<20_000 {
            let bytes = random.bytes(random.below(40))
            guard let options = withView(bytes, { TCPOption.parse($0) }) else { continue }
            #expect(Array(bytes.prefix(options.flatMap(\.bytes).count)) == options.flatMap(\.bytes))
        }
    }

    @Test func udpHeader() {
        check(
            UDPHeader(sourcePort: 53, destinationPort: 0x8000, length: 12, checksum: 0xbeef),
            hex("0035 8000 000c beef"))
    }

    @Test func sctp() {
        // An INIT chunk, with the CRC32c computed bit by bit.
        var packet = hex("0b59 0b59 00000000 00000000 01000014 4f5c1f2b 0000c000 000affff 3f2b1c0d")
        let crc = packet.withUnsafeBytes { CRC32C.plain($0) }
        packet.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: crc >> (8 * $0)) })
        #expect(packet.withUnsafeBytes { SCTPView.hasValidChecksum($0) })
        packet[13] ^= 1
        #expect(!packet.withUnsafeBytes { SCTPView.hasValidChecksum($0) })
        #expect(!withView([1, 2]) { SCTPView.hasValidChecksum($0) })
        check(
            SCTPHeader(sourcePort: 1, destinationPort: 2, verificationTag: 3, checksum: 4),
            hex("0001 0002 00000003 00000004"))
    }

    @Test func icmpHeader() {
        let vector = hex("08 00 f7fd 0001 0002")
        check(ICMPHeader(type: 8, code: 0, checksum: 0xf7fd, rest: 0x0001_0002), vector)
        withView(vector) { bytes in
            #expect(ICMPView(bytes)?.identifier == 1)
            #expect(ICMPView(bytes)?.sequenceNumber == 2)
        }
    }

    @Test func igmp() {
        check(
            IGMPHeader(type: 0x16, maxResponseTime: 0, checksum: 0x08fd, groupAddress: 0xe000_00fb),
            hex("16 00 08fd e00000fb"))
    }

    @Test func icmpv6Header() {
        check(
            ICMPv6Header(type: 128, code: 0, checksum: 0x1234, rest: 0x0005_0006), hex("80 00 1234 0005 0006"))
    }

    @Test func neighbourDiscovery() {
        let vector = hex("87 00 1234 00000000 fe800000000000000000000000000001 0101 020000000001 0e01 010203040506")
        var message = NeighbourMessage(
            header: ICMPv6Header(type: 135, code: 0, checksum: 0x1234, rest: 0), target: 0xfe80 << 112 | 1)
        message.options = [
            .init(type: 1, linkLayerAddress: 0x0200_0000_0001), .init(type: 14, content: [1, 2, 3, 4, 5, 6]),
        ]
        check(message, vector)
        #expect(message.options[0].linkLayerAddress == 0x0200_0000_0001)
        #expect(message.options[1].linkLayerAddress == nil)
        // Option of length 0; another message.
        #expect(withView(Array(vector[..<25] + [0] + vector[26...])) { NeighbourMessage.parse($0) } == nil)
        #expect(withView([128] + vector[1...]) { NeighbourMessage.parse($0) } == nil)
        message.options = [.init(type: 1, content: [1])]
        #expect(emitted(message, room: 80) == nil)
    }
}
