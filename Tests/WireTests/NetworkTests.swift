import FrameSupport
import Testing
import Wire

@Suite struct NetworkTests {
    @Test func ipv4() {
        // The header of a UDP packet, known from many textbooks: its checksum is b861.
        let vector = hex("4500 0073 0000 4000 40 11 b861 c0a80001 c0a800c7")
        var header = IPv4Header(totalLength: 0x73, ipProtocol: 17, source: 0xc0a8_0001, destination: 0xc0a8_00c7)
        header.fragment = 0x4000
        header.checksum = 0xb861
        check(header, vector)
        withView(vector) { bytes in
            let view = IPv4View(bytes)
            #expect(view?.hasValidChecksum == true)
            #expect(view?.dontFragment == true)
            #expect(view?.moreFragments == false)
            #expect(view?.fragmentOffset == 0)
            #expect(view?.version == 4)
        }
        header.checksum = 0
        var buffer = [UInt8](repeating: 0xa5, count: 20)
        #expect(buffer.withUnsafeMutableBytes { header.emitWithChecksum(into: $0) })
        #expect(buffer == vector)
    }

    @Test func ipv4WithOptions() {
        let vector = hex("4700 001c 0001 2005 40 01 0000 0a000001 0a000002 94040000 01010100")
        var header = IPv4Header(totalLength: 28, ipProtocol: 1, source: 0x0a00_0001, destination: 0x0a00_0002)
        header.identification = 1
        header.fragment = 0x2005
        header.options = hex("94040000 01010100")
        check(header, vector)
        #expect(withView(vector) { IPv4View($0)?.hasValidChecksum } == false)
        #expect(withView([0x44] + vector[1...]) { IPv4View($0) == nil })
        #expect(withView([0x4f] + vector[1...]) { IPv4View($0) == nil })
        header.options = [1, 2, 3]
        #expect(emitted(header, room: 80) == nil)
    }

    @Test func ipv6() {
        let vector = hex("6b912345 0010 06 40 20010db8000000000000000000000001 fe800000000000000000000000000002")
        var header = IPv6Header(
            payloadLength: 16, nextHeader: 6, source: 0x2001_0db8 << 96 | 1, destination: 0xfe80 << 112 | 2)
        header.trafficClass = 0xb9
        header.flowLabel = 0x12345
        check(header, vector)
    }

    @Test func extensionHeaders() throws {
        let chain = hex(
            "2b00 010203040506 3c00 00 02 00000000 33010102030405060708090a0b0c0d0e 2c01 010203040506070809 0a"
                + "1100 0001 0000abcd")
        // Hop-by-hop, routing, destination options of 16 bytes, authentication of 12 bytes, fragment.
        let walked = withView(chain) { IPv6ExtensionChain(nextHeader: 0, $0) }
        let parsed = try #require(walked)
        #expect(parsed.headers.map(\.kind) == [0, 43, 60, 51, 44])
        #expect(parsed.headers.map(\.byteCount) == [8, 8, 16, 12, 8])
        #expect(parsed.headers[1].segmentsLeft == 2)
        #expect(parsed.headers[4].fragment?.moreFragments == true)
        #expect(parsed.nextHeader == 17)
        #expect(parsed.byteCount == chain.count)
        var emittedChain: [UInt8] = []
        for header in parsed.headers { emittedChain += emitted(header, room: header.byteCount) ?? [] }
        #expect(emittedChain == chain)
        for length in 0..<chain.count {
            #expect(withView(Array(chain[..<length])) { IPv6ExtensionChain(nextHeader: 0, $0) } == nil)
        }
        // Behind a fragment that is not the first there is payload.
        let later = withView(hex("0000 0008 00000000 ffff")) { IPv6ExtensionChain(nextHeader: 44, $0) }
        #expect(later?.nextHeader == 44)
        #expect(later?.byteCount == 8)
        let none = withView([]) { IPv6ExtensionChain(nextHeader: 6, $0) }
        #expect(none?.headers.isEmpty == true)
    }

    @Test func randomExtensionChainsNeverTrap() {
        var random = SeededRandom(seed: 5)
        for _ in 0..<20_000 {
            var bytes = random.bytes(random.below(100))
            for at in stride(from: 0, to: bytes.count, by: 8) where random.oneIn(2) {
                bytes[at] = random.pick([0, 43, 44, 51, 60])
                if at + 1 < bytes.count { bytes[at + 1] = UInt8(random.below(3)) }
            }
            let chain = withView(bytes) { IPv6ExtensionChain(nextHeader: random.pick([0, 43, 44, 51, 60]), $0) }
            if let chain { #expect(chain.byteCount <= bytes.count) }
        }
    }
}
