import Control
import FrameSupport
import Testing

@Suite struct RequestTests {
    static let wrong: [(String, String)] = [
        ("[]", "request is an array, expected an object"),
        (#"{"id":1,"params":[]}"#, #"request has no "method""#),
        (#"{"id":1,"method":7,"params":[]}"#, #""method" is a number, expected a string"#),
        (#"{"id":1,"method":"a"}"#, #"request has no "params""#),
        (#"{"id":1,"method":"a","params":{}}"#, #""params" is an object, expected an array of strings"#),
        (#"{"id":1,"method":"a","params":["b",true]}"#, #""params"[1] is a boolean, expected a string"#),
        (#"{"id":1,"method":"a","params":[null]}"#, #""params"[0] is null, expected a string"#),
        (#"{"method":"a","params":[]}"#, #"request has no "id", so it cannot be answered"#),
        (#"{"method":"a","params":[],"id":null}"#, #"request has no "id", so it cannot be answered"#),
    ]

    @Test(arguments: wrong) func errorsNameWhatIsWrong(_ text: String, _ message: String) {
        #expect(throws: Request.Malformed.self) { try Request(parsing: bytes(text)) }
        do { _ = try Request(parsing: bytes(text)) } catch { #expect(error.message == message) }
    }

    @Test(arguments: [#"{"id":1,}"#, "{", "{\"a\":tru}", "", "{\"id\":1 \"b\":2}", "{\"a\":\"\\ud800\"}"])
    func noJSON(_ text: String) {
        do {
            _ = try Request(parsing: bytes(text))
            #expect(Bool(false))
        } catch {
            #expect(error.message.hasPrefix("request is not valid JSON") || error.message.hasPrefix("request has no"))
        }
    }

    @Test func invalidUTF8() {
        for tail in [[UInt8(0xff)], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80]] {
            let text = bytes(#"{"id":1,"method":"a","params":[""#) + tail + bytes(#""]}"#)
            #expect(throws: Request.Malformed.self) { try Request(parsing: text) }
        }
    }

    @Test(arguments: [
        ("1", JSONValue.integer(1)), (#""x""#, .string("x")), ("[1]", .array([.integer(1)])), ("false", .bool(false)),
        ("18446744073709551615", .unsigned(.max)), ("1.5", .number(1.5)),
    ])
    func anyIDComesBack(_ text: String, _ id: JSONValue) throws {
        let request = try Request(parsing: bytes(#"{"method":"m","params":["é\n"],"id":\#(text)}"#))
        #expect(request == Request(method: "m", parameters: ["é\n"], id: id))
        #expect(try Request(parsing: request.bytes) == request)
    }

    @Test func errorsEndTheirLine() {
        #expect(
            String(decoding: Response(id: 1, error: "no").bytes, as: UTF8.self)
                == "{\"id\":1,\"result\":null,\"error\":\"no\\n\"}\n")
    }

    @Test func stringsSurvive() throws {
        var random = SeededRandom(seed: 7)
        for _ in 0..<300 {
            let scalars = (0..<random.below(20)).compactMap { _ in
                UnicodeScalar(random.oneIn(2) ? UInt32(random.below(0x80)) : UInt32(random.below(0x11_0000)))
            }
            let text = String(String.UnicodeScalarView(scalars))
            let value = JSONValue.object([.init(text, .array([.string(text), .null]))])
            #expect(try JSONValue(parsing: bytes(value.text)) == value)
            #expect(try JSONValue(parsing: bytes(value.prettyText)) == value)
        }
    }

    /// Mutated requests: an error or a request, never a trap.
    @Test func mutatedRequests() {
        var random = SeededRandom(seed: 99)
        let seeds = Self.wrong.map { bytes($0.0) } + [bytes(FramerTests.first), bytes(FramerTests.second)]
        for _ in 0..<4000 {
            var text = random.pick(seeds)
            for _ in 0..<1 + random.below(4) {
                let at = random.below(text.count)
                switch random.below(4) {
                case 0: text[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: text.remove(at: at)
                case 2: text.insert(random.pick(bytes("{}[]\",:\\0")), at: at)
                default: text.append(contentsOf: text[at...])
                }
                if text.isEmpty { text = [0] }
            }
            for event in events([text]) {
                if case .object(let object) = event { _ = try? Request(parsing: object) }
            }
        }
    }
}
