import Base
import Flow
import Testing

@Suite struct EchoedTextTests {
    @Test func escapesWhatIsNotPrintable() {
        #expect("plain-text_1".echoed == "plain-text_1")
        #expect("a\u{1b}[31mb\u{7}".echoed == "a\\x1b[31mb\\x07")
        #expect("one\ntwo\tthree\r".echoed == "one\\ntwo\\tthree\\r")
        #expect("grün 東".echoed == "grün 東")
        // A change of direction, a blank of no width, a control character behind ASCII.
        #expect("a\u{202e}b\u{200b}c\u{85}".echoed == "a\\u{202e}b\\u{200b}c\\u{85}")
        #expect("two\nlines\u{1b}".printable(keepsLines: true) == "two\nlines\\x1b")
        #expect("two\nlines".printable() == "two\\nlines")
    }

    @Test func shortensLongWords() {
        let just = String(repeating: "a", count: 64)
        #expect(just.echoed == just)
        let long = String(repeating: "b", count: 70_000)
        #expect(long.echoed == String(repeating: "b", count: 60) + "...[70000 bytes]")
        // An escape counts as the one character that it stands for.
        let bells = String(repeating: "\u{7}", count: 64)
        #expect(bells.echoed.count == 64 * 4)
    }

    /// Whatever word of a flow is wrong, what comes back is printable and of a modest length.
    @Test func errorsOfFlowsAreHarmless() {
        let bad = "\u{1b}]0;owned\u{7}" + String(repeating: "x", count: 5000)
        for flow in [
            bad, "\(bad)=1,actions=drop", "in_port=\(bad),actions=drop", "ip,nw_src=\(bad),actions=drop",
            "actions=\(bad)", "actions=output:\(bad)", "actions=load:1->\(bad)", "actions=set_field:1->\(bad)",
            "actions=learn(\(bad)=1)", "actions=learn(\(bad))", "actions=ct(\(bad)=1)", "actions=resubmit(,1,\(bad))",
            "actions=bundle(\(bad),50,hrw,ofport,members:1)", "actions=controller(\(bad)=1)",
            "reg0[\(bad)]=1,actions=1",
            "cookie=\(bad),actions=1", "priority=\(bad),actions=1", "tcp,tcp_flags=+\(bad),actions=1",
            "actions=ct(nat(src=\(bad)))", "dl_src=\(bad),actions=1", "ipv6,ipv6_src=\(bad),actions=1",
            "actions=sample(\(bad)=1)", "actions=multipath(\(bad),50,hrw,1,0,NXM_NX_REG0[])",
        ] {
            do throws(FlowSyntaxError) {
                _ = try FlowParser(testContext()).parse(flow)
                Issue.record("accepted \(flow.prefix(30))")
            } catch {
                #expect(error.message.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f }, "\(error.message)")
                #expect(error.message.utf8.count < 400, "\(error.message)")
            }
        }
    }
}
