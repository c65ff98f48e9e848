import CLinux
import Memory
import Ports
import Testing

/// What is read from, and written to, the ten bytes before a frame, when their writer errs or lies.
@Suite struct VirtioHeaderTests {
    /// `struct virtio_net_hdr` as a sender fills it.
    struct Header {
        var flags: UInt8 = 0
        var type: UInt8 = 0
        var headerLength: UInt16 = 0
        var segmentSize: UInt16 = 0
        var start: UInt16 = 0
        var offset: UInt16 = 0

        static let needsChecksum: UInt8 = 1
        static let dataValid: UInt8 = 2

        var bytes: [UInt8] {
            [flags, type] + [headerLength, segmentSize, start, offset].flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
        }
    }

    /// A TCP frame of `length` bytes whose header says `dataOffset` words.
    static func tcp(_ length: Int, dataOffset: UInt8 = 5) -> [UInt8] {
        var bytes = frame(length)
        bytes[12] = 8
        bytes[13] = 0
        bytes[14] = 0x45
        bytes[34 + 12] = dataOffset << 4
        return bytes
    }

    /// What stands in the packet after `header` was read before `bytes`.
    private func read(_ header: Header, _ bytes: [UInt8], shift: UInt16 = 0) -> PacketHeader.Offload {
        with(bytes) { packet in
            header.bytes.withUnsafeBytes { VirtioHeader.read($0.baseAddress!, into: packet, shift: shift) }
            return packet.pointee.offload
        }
    }

    /// The header that is written for what was read, in a buffer full of 0xa5.
    private func rewritten(_ header: Header, _ bytes: [UInt8], shift: UInt16 = 0) -> [UInt8] {
        with(bytes) { packet in
            header.bytes.withUnsafeBytes { VirtioHeader.read($0.baseAddress!, into: packet, shift: shift) }
            var written = [UInt8](repeating: 0xa5, count: 12)
            written.withUnsafeMutableBytes { VirtioHeader.write(packet, to: $0.baseAddress!) }
            #expect(written[10...] == [0xa5, 0xa5])
            return Array(written[..<10])
        }
    }

    private func with<R>(_ bytes: [UInt8], _ body: (Packet) -> R) -> R {
        var pool = PacketPool(small: 2, large: 1)
        guard let packet = pool.take(bytes.count) else { fatalError("no frame is longer than a buffer") }
        defer { pool.free(packet) }
        bytes.withUnsafeBytes { packet.pointee.data.copyMemory(from: $0.baseAddress!, byteCount: bytes.count) }
        return body(packet)
    }

    @Test func nothingLeftToDo() {
        let offload = read(Header(headerLength: 99, segmentSize: 7, start: 34, offset: 16), Self.tcp(100))
        #expect(!offload.needsChecksum && !offload.checksumValid)
        #expect(offload.segmentationType == 0 && offload.segmentSize == 0 && offload.headerLength == 0)
        #expect(rewritten(Header(), Self.tcp(100)) == Header().bytes)
        #expect(read(Header(flags: Header.dataValid), Self.tcp(100)).checksumValid)
        #expect(rewritten(Header(flags: Header.dataValid), Self.tcp(100)) == Header(flags: Header.dataValid).bytes)
    }

    /// What goes in comes out, but for the header's length, which is that of the frame.
    @Test(arguments: [0, 33, 54, 66, 1000, 65535] as [UInt16])
    func superFrame(hint: UInt16) {
        var header = Header(
            flags: Header.needsChecksum, type: 1, headerLength: hint, segmentSize: 1448, start: 34, offset: 16)
        let bytes = Self.tcp(9000, dataOffset: 8)
        let offload = read(header, bytes)
        #expect(offload.needsChecksum && offload.checksumStart == 34 && offload.checksumOffset == 16)
        #expect(offload.segmentationType == 1 && offload.segmentSize == 1448 && offload.headerLength == 66)
        header.headerLength = 66
        #expect(rewritten(header, bytes) == header.bytes)
    }

    /// ECN is a flag beside the type, and type 5 cuts UDP behind a header of 8 bytes.
    @Test func otherTypes() {
        let checksum = Header(flags: Header.needsChecksum, segmentSize: 1000, start: 34, offset: 16)
        var header = checksum
        header.type = 0x81
        #expect(read(header, Self.tcp(4000)).segmentationType == 0x81)
        #expect(read(header, Self.tcp(4000)).headerLength == 54)
        header.type = 5
        header.offset = 6
        #expect(read(header, Self.tcp(4000, dataOffset: 15)).headerLength == 42)
        for type in [0x80, 3, 77, 255] as [UInt8] {
            header.type = type
            #expect(read(header, Self.tcp(4000)).segmentationType == type, "for the transmitter to refuse")
        }
    }

    /// A checksum that does not lie in the frame is not asked for.
    @Test func checksumOutsideTheFrame() {
        let length: UInt16 = 100
        for (start, offset) in [(34, 65), (98, 1), (100, 0), (65535, 0), (0, 65535), (65535, 65535), (84, 16)]
            as [(UInt16, UInt16)]
        {
            let header = Header(flags: Header.needsChecksum, start: start, offset: offset)
            #expect(!read(header, Self.tcp(Int(length))).needsChecksum, "\(start) + \(offset)")
            #expect(rewritten(header, Self.tcp(Int(length))) == Header().bytes)
        }
        let last = read(Header(flags: Header.needsChecksum, start: 82, offset: 16), Self.tcp(Int(length)))
        #expect(last.needsChecksum && last.checksumStart == 82)
        // Below the Ethernet header: nonsense inside the frame. Whoever completes it refuses.
        #expect(read(Header(flags: Header.needsChecksum), Self.tcp(Int(length))).needsChecksum)
    }

    /// A restored tag moves the start; a start near 65,535 does not come out at the front again.
    @Test func restoredTag() {
        var header = Header(flags: Header.needsChecksum, type: 1, segmentSize: 500, start: 34, offset: 16)
        let tagged = Array(Self.tcp(2000)[..<12]) + [0x81, 0, 0, 5] + Array(Self.tcp(2000, dataOffset: 6)[12...])
        let offload = read(header, tagged, shift: 4)
        #expect(offload.checksumStart == 38 && offload.checksumOffset == 16 && offload.headerLength == 38 + 24)
        for start in [65532, 65535] as [UInt16] {
            header.start = start
            #expect(!read(header, tagged, shift: 4).needsChecksum)
        }
        // Whole only with its tag.
        header.start = 1982
        #expect(read(header, tagged, shift: 4).needsChecksum)
        header.start = 1983
        #expect(!read(header, tagged, shift: 4).needsChecksum)
    }

    /// Header lengths that the frame itself lies about.
    @Test func headerLengthStaysInTheFrame() {
        var header = Header(flags: Header.needsChecksum, type: 1, segmentSize: 500, start: 34, offset: 16)
        #expect(read(header, Self.tcp(2000, dataOffset: 0)).headerLength == 34)
        #expect(read(header, Self.tcp(2000, dataOffset: 15)).headerLength == 94)
        #expect(read(header, Self.tcp(60, dataOffset: 15)).headerLength == 60)
        #expect(read(header, Self.tcp(53)).headerLength == 0, "too short for TCP")
        // Without a checksum nothing says where the transport header is.
        header.flags = 0
        #expect(read(header, Self.tcp(2000)).headerLength == 0)
        header.flags = Header.dataValid
        #expect(read(header, Self.tcp(2000)).headerLength == 0)
        // The longest frame, its transport header at the very end.
        let longest = [UInt8](repeating: 0xff, count: 65535 + 18)
        header = Header(flags: Header.needsChecksum, type: 1, segmentSize: 500, start: 65530, offset: 16)
        #expect(read(header, longest).headerLength == 65535)
    }

    /// Any ten bytes before any frame: nothing traps, and what is passed on stays inside.
    @Test func anyHeader() {
        var random = Random(33)
        for _ in 0..<20_000 {
            let length = Int.random(in: 14...300, using: &random)
            func word(_ odd: Int) -> UInt16 {
                Bool.random(using: &random) ? UInt16.random(in: 0...320, using: &random) : UInt16(odd)
            }
            let header = Header(
                flags: UInt8.random(in: 0...255, using: &random), type: UInt8.random(in: 0...255, using: &random),
                headerLength: word(65535), segmentSize: word(0), start: word(65533), offset: word(65534))
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let shift: UInt16 = Bool.random(using: &random) ? 4 : 0
            let offload = read(header, bytes, shift: shift)
            #expect(Int(offload.headerLength) <= length)
            if offload.needsChecksum {
                #expect(Int(offload.checksumStart) + Int(offload.checksumOffset) + 2 <= length)
            }
        }
    }
}
