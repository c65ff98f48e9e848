import Control
import FrameSupport
import Testing

@Suite struct FramerTests {
    static let first = #"{"method":"echo","params":["a{b]\"c\\","é"],"id":1}"#
    static let second = #"{"id":2,"x":{"y":[{},[]]}}"#

    @Test(arguments: ["", "\n", "  \r\n\t", "\n\n"]) func splitAnywhere(_ separator: String) {
        let stream = bytes(Self.first + separator + Self.second + separator)
        let expected = [RequestFramer.Event.object(bytes(Self.first)), .object(bytes(Self.second))]
        #expect(events([stream]) == expected)
        #expect(events(stream.map { [$0] }) == expected)
        for i in 0...stream.count {
            #expect(events([Array(stream[..<i]), Array(stream[i...])]) == expected)
        }
    }

    @Test func unfinishedIsKept() {
        var framer = RequestFramer(maximumLength: 100)
        var position = 0
        let half = bytes(#"{"method":"#)
        let event = half.withUnsafeBytes { framer.next($0, &position) }
        #expect(event == nil)
        #expect(framer.bufferedCount == half.count)
        #expect(!framer.isBetweenObjects)
    }

    @Test(arguments: ["hello", "]", "42", "\"text\"", "\u{1}", "é"])
    func garbageIsNamedAndSkipped(_ garbage: String) {
        let found = events([bytes(garbage + "\n" + Self.first)])
        #expect(found.count == 2)
        guard case .failure(let message) = found.first else { return #expect(Bool(false)) }
        #expect(message.contains("expected a request"))
        #expect(found.last == .object(bytes(Self.first)))
    }

    @Test func bracketsMustPair() {
        let found = events([bytes("{\"a\":[}\n" + Self.first)])
        #expect(found == [.failure("unexpected '}' in the request"), .object(bytes(Self.first))])
    }

    @Test func lineBreakInString() {
        let found = events([bytes("{\"a\":\"b\n" + Self.first)])
        #expect(found.count == 2)
        #expect(found.last == .object(bytes(Self.first)))
    }

    @Test func tooLongIsLetGoWithoutBeingKept() {
        var framer = RequestFramer(maximumLength: 1000)
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 700)
        var position = 0
        var event = bytes("{\"a\":\"").withUnsafeBytes { framer.next($0, &position) }
        for _ in 0..<100 {
            position = 0
            event = piece.withUnsafeBytes { framer.next($0, &position) }
            #expect(event == nil)
            #expect(framer.bufferedCount <= 1000)
        }
        position = 0
        let tail = bytes("\"}" + Self.first)
        event = tail.withUnsafeBytes { framer.next($0, &position) }
        #expect(event == .failure("request is longer than 1000 bytes"))
        event = tail.withUnsafeBytes { framer.next($0, &position) }
        #expect(event == .object(bytes(Self.first)))
    }

    @Test(arguments: [63, 64, 65, 66, 200, 100_000]) func nesting(_ depth: Int) {
        let inside = depth - 1
        let text = "{\"a\":" + String(repeating: "[", count: inside) + String(repeating: "]", count: inside) + "}"
        let found = events([bytes(text + Self.first)])
        #expect(found.count == 2)
        #expect((found.first == .object(bytes(text))) == (depth <= RequestFramer.maximumDepth))
        #expect(found.last == .object(bytes(Self.first)))
    }

    /// Whatever comes, however it is cut: no trap, the same events for every cut, and the memory stays bounded.
    @Test func randomStreams() {
        var random = SeededRandom(seed: 41)
        let alphabet = bytes("{}[]\"\\:,\n ab01\u{7f}") + [0, 0xff, 0xc3]
        for _ in 0..<3000 {
            let stream = (0..<random.below(60)).map { _ in random.pick(alphabet) }
            let whole = events([stream], maximumLength: 40)
            var pieces: [[UInt8]] = []
            var rest = stream[...]
            while !rest.isEmpty {
                let count = 1 + random.below(rest.count)
                pieces.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            #expect(events(pieces, maximumLength: 40) == whole)
        }
    }
}
