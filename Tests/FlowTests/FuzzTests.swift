import Base
import Flow
import Testing

/// No text makes a parser trap: whatever comes is read or refused.
@Suite struct FuzzTests {
    /// Feeds a text to every parser; errors are fine, and point into the text.
    func feed(_ text: String, _ version: OpenFlowVersion = .openFlow15) {
        let context = testContext(version)
        let count = text.utf8.count
        func checked(_ body: () throws -> Void) {
            do {
                try body()
            } catch let error as FlowSyntaxError {
                #expect(error.column >= 1 && error.column <= count + 2, "\(error) in \(text)")
                #expect(!error.message.isEmpty)
            } catch {}
        }
        checked {
            let flow = try FlowParser(context).parse(text)
            _ = FlowPrinter(context).text(flow)
        }
        checked { _ = FlowPrinter(context).text(try PacketParser(context).parse(text)) }
        checked { _ = try FlowParser(context).parseFilter(text) }
        checked { _ = GroupPrinter(context).text(try GroupParser(context).parse(text)) }
        checked { _ = try GroupParser(context).parse(text, as: .insertBuckets) }
        checked { _ = MeterPrinter().text(try MeterParser().parse(text)) }
    }

    static let others = [
        "group_id=1,type=select,selection_method=hash,fields(ip_src,tcp_dst=0xff00),bucket=weight:1,watch_port:2,actions=output:2",
        "group_id=7,command_bucket_id=first,bucket=bucket_id:3,actions=mod_vlan_vid:5,output:1,bucket=output:4",
        "meter=1 kbps burst stats bands=type=drop rate=1000 burst_size=100 type=dscp_remark rate=5 prec_level=1 burst_size=3",
        "tcp,actions=learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0x5->NXM_NX_REG1[0..3],output:NXM_OF_IN_PORT[])",
        "tcp6,actions=ct(commit,zone=NXM_NX_REG0[0..15],nat(src=[2001:db8::1]-[2001:db8::5]:1-2,random),exec(load:1->NXM_NX_CT_MARK[]))",
    ]

    @Test func everyTruncation() {
        for text in RecordedLine.load("lines").map(\.line) + FuzzTests.others {
            let bytes = Array(text.utf8)
            for n in 0...bytes.count { feed(String(decoding: bytes[..<n], as: UTF8.self)) }
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func mutations(_ seed: UInt64) {
        var source = RandomFlow(seed: seed)
        let corpus = RecordedLine.load("lines").map(\.line) + FuzzTests.others
        let alphabet = Array("0123456789abcdefx=:,()[]->./+-*|\"\\# \t\nNXM_OF_actionsoutput\u{80}\u{ff}".utf8)
        for _ in 0..<1500 {
            var bytes = Array(
                (source.number(0...1) == 0 ? corpus.randomElement(using: &source.random) ?? "" : source.flow()).utf8)
            for _ in 0..<source.number(1...4) where !bytes.isEmpty {
                let at = Int(source.number(0...UInt64(bytes.count - 1)))
                switch source.number(0...3) {
                case 0: bytes[at] = alphabet.randomElement(using: &source.random) ?? 0
                case 1: bytes.remove(at: at)
                case 2: bytes.insert(alphabet.randomElement(using: &source.random) ?? 0, at: at)
                default:
                    let end = min(bytes.count, at + Int(source.number(1...12)))
                    bytes.insert(contentsOf: bytes[at..<end], at: at)
                }
            }
            let versions = OpenFlowVersion.allCases
            feed(String(decoding: bytes, as: UTF8.self), versions[Int(source.number(0...UInt64(versions.count - 1)))])
        }
    }

    @Test func deepNestingIsRefused() {
        let text = "actions=" + String(repeating: "clone(", count: 5000) + String(repeating: ")", count: 5000)
        #expect(throws: FlowSyntaxError.self) { try FlowParser().parse(text) }
        feed("actions=" + String(repeating: "clone(", count: 5000))
        feed(String(repeating: "(", count: 20000))
    }
}
