import FrameSupport
import Testing
import Wire

@Suite struct ChecksumTests {
    @Test func exampleOfRFC1071() {
        let bytes = hex("0001 f203 f4f5 f6f7")
        let sum = bytes.withUnsafeBytes { InternetChecksum.sum($0.baseAddress!, count: $0.count) }
        #expect(sum == 0xddf2)
        #expect(InternetChecksum.finish(sum) == ~0xddf2)
    }

    @Test func exampleOfRFC1624() {
        // Section 4: header checksum dd2f, a field changes from 5555 to 3285; the right answer is 0000.
        #expect(InternetChecksum.update(0xdd2f, from: UInt16(0x5555), to: UInt16(0x3285)) == 0x0000)
    }

    @Test func fastEqualsPlain() {
        var random = SeededRandom(seed: 7)
        for length in Array(0..<200) + [1499, 1500, 9000, 65_535] {
            for _ in 0..<10 {
                let bytes =
                    random.oneIn(8)
                    ? [UInt8](repeating: random.oneIn(2) ? 0xff : 0, count: length + 3) : random.bytes(length + 3)
                bytes.withUnsafeBytes { whole in
                    let part = UnsafeRawBufferPointer(rebasing: whole[random.below(3)...].prefix(length))
                    let fast = InternetChecksum.sum(part.baseAddress!, count: part.count)
                    #expect(fast == InternetChecksum.plainSum(part))
                    #expect(CRC32C.checksum(part.baseAddress!, count: part.count) == CRC32C.plain(part))
                }
            }
        }
    }

    /// Changing a field and updating is changing it and computing anew, down to the representation of zero.
    @Test func incrementalEqualsFull() {
        var random = SeededRandom(seed: 8)
        func full(_ bytes: [UInt8]) -> UInt16 {
            bytes.withUnsafeBytes { InternetChecksum.checksum($0.baseAddress!, count: $0.count) }
        }
        for _ in 0..<20_000 {
            var bytes = [0x45, 0] + random.bytes(38)
            if random.oneIn(3) { for i in 2..<40 where !random.oneIn(4) { bytes[i] = random.pick([0, 0xff]) } }
            let before = full(bytes)
            let (a, b, c, d) = (random.bits16(), random.bits32(), random.bits48(), random.bits128())
            let old = bytes
            func number(_ range: Range<Int>) -> UInt128 { old[range].reduce(0) { $0 << 8 | UInt128($1) } }
            bytes.replaceSubrange(2..<4, with: be16(a))
            bytes.replaceSubrange(4..<8, with: be32(b))
            bytes.replaceSubrange(8..<14, with: be48(c))
            bytes.replaceSubrange(14..<30, with: be128(d))
            var updated = InternetChecksum.update(before, from: UInt16(number(2..<4)), to: a)
            updated = InternetChecksum.update(updated, from: UInt32(number(4..<8)), to: b)
            updated = InternetChecksum.update48(updated, from: UInt64(number(8..<14)), to: c)
            updated = InternetChecksum.update(updated, from: number(14..<30), to: d)
            #expect(updated == full(bytes))
        }
    }

    @Test func pseudoHeaders() {
        let message = udp(.v4(0x0a00_0001, 0x0a00_0002), 3, 4, payload: [1, 2, 3])
        let sum4 = InternetChecksum.pseudoHeader(
            src: UInt32(0x0a00_0001), dst: 0x0a00_0002, ipProtocol: 17, length: message.count)
        message.withUnsafeBytes {
            #expect(InternetChecksum.finish(InternetChecksum.sum($0.baseAddress!, count: $0.count, initial: sum4)) == 0)
        }
        let message6 = tcp(.v6(1 << 64, 2 << 80), 3, 4, payload: [1, 2, 3])
        let sum6 = InternetChecksum.pseudoHeader(
            src: UInt128(1) << 64, dst: UInt128(2) << 80, nextHeader: 6, length: message6.count)
        message6.withUnsafeBytes {
            #expect(InternetChecksum.finish(InternetChecksum.sum($0.baseAddress!, count: $0.count, initial: sum6)) == 0)
        }
        #expect(InternetChecksum.udp(0) == 0xffff)
        #expect(InternetChecksum.udp(5) == 5)
    }

    @Test func crcVectors() {
        // RFC 3720, appendix B.4.
        func crc(_ bytes: [UInt8]) -> UInt32 {
            bytes.withUnsafeBytes { CRC32C.checksum($0.baseAddress!, count: $0.count) }
        }
        #expect(crc([UInt8](repeating: 0, count: 32)) == 0x8a91_36aa)
        #expect(crc([UInt8](repeating: 0xff, count: 32)) == 0x62a8_ab43)
        #expect(crc([UInt8](0..<32)) == 0x46dd_794e)
        #expect(crc(Array("123456789".utf8)) == 0xe306_9283)
    }
}
