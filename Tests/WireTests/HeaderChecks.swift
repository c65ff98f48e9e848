import FrameSupport
import Testing
import Wire

/// What every header has to stand: the vector parses to the value, the value emits the vector over a buffer full of
/// 0xA5 and nothing else, every truncation is refused, and whatever random bytes parse, emits to the same bytes.
func check<H: WireHeader>(
    _ expected: H, _ vector: [UInt8], seed: UInt64 = 1, fix: (inout [UInt8]) -> Void = { _ in },
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(vector.withUnsafeBytes { H.parse($0) } == expected, sourceLocation: sourceLocation)
    #expect(expected.byteCount == vector.count, sourceLocation: sourceLocation)
    #expect(
        emitted(expected, room: vector.count + 8) == vector + [UInt8](repeating: 0xa5, count: 8),
        sourceLocation: sourceLocation)
    for length in 0..<vector.count {
        let cut = Array(vector[..<length])
        let parsed = cut.withUnsafeBytes { H.parse($0) }
        // A list of options may end early and still be a list.
        #expect(parsed == nil || parsed?.byteCount == length, sourceLocation: sourceLocation)
        #expect(emitted(expected, room: length) == nil, sourceLocation: sourceLocation)
    }
    var random = SeededRandom(seed: seed)
    for _ in 0..<2000 {
        var bytes = random.bytes(random.below(80))
        if random.oneIn(2) { bytes = Array((vector + bytes).prefix(80)) }
        if !bytes.isEmpty { bytes[random.below(bytes.count)] ^= 1 << random.below(8) }
        fix(&bytes)
        guard let header = bytes.withUnsafeBytes({ H.parse($0) }) else { continue }
        #expect(header.byteCount <= bytes.count, sourceLocation: sourceLocation)
        #expect(
            emitted(header, room: header.byteCount) == Array(bytes[..<header.byteCount]), sourceLocation: sourceLocation
        )
    }
}

/// What `emit` makes of a buffer full of 0xA5; nil, with the buffer untouched, if it refuses.
func emitted<H: WireHeader>(_ header: H, room: Int) -> [UInt8]? {
    var buffer = [UInt8](repeating: 0xa5, count: room)
    if buffer.withUnsafeMutableBytes({ header.emit(into: $0) }) { return buffer }
    #expect(buffer == [UInt8](repeating: 0xa5, count: room))
    return nil
}

func withView<R>(_ bytes: [UInt8], _ body: (UnsafeRawBufferPointer) -> R) -> R { bytes.withUnsafeBytes(body) }
