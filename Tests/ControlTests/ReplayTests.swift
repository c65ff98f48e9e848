import Control
import Dataplane
import FlowCache
import Foundation
import Testing

@Suite struct ReplayTests {
    @Test func wordsAreSplitAsByAShell() throws {
        #expect(try ShellWords.split("add-port br0 p1  type=pcap") == ["add-port", "br0", "p1", "type=pcap"])
        #expect(try ShellWords.split("a 'b c' \"d \\\"e\" f\\ g # rest") == ["a", "b c", "d \"e", "f g"])
        #expect(try ShellWords.split("add-flow br0 'ip,actions=drop'#x") == ["add-flow", "br0", "ip,actions=drop#x"])
        #expect(try ShellWords.split("   # nothing").isEmpty)
        #expect(try ShellWords.split("''") == [""])
        #expect(throws: ShellWords.SyntaxError.self) { try ShellWords.split("a 'b") }
        #expect(throws: ShellWords.SyntaxError.self) { try ShellWords.split("a\\") }
    }

    @Test func filesNameTheirPort() throws {
        #expect(try FileOfPort("p3=x.pcap", defaultPort: "p0").port == "p3")
        #expect(try FileOfPort("dir/a=b.pcap", defaultPort: "p0").file == "dir/a=b.pcap")
        #expect(try FileOfPort("x.pcap", defaultPort: "p0").port == "p0")
        #expect(throws: ReplayError.self) { try FileOfPort("x.pcap", defaultPort: nil) }
        #expect(throws: ReplayError.self) { try FileOfPort("p1=", defaultPort: nil) }
    }

    @Test func coresAreListsOfRanges() throws {
        #expect(try CoreList.parse("1,3-5") == [1, 3, 4, 5])
        for text in ["", "a", "5-3", "1,,2", "1-2-3", "-1", "99999"] {
            #expect(throws: ReplayError.self) { try CoreList.parse(text) }
        }
    }

    /// Frames go in one file and come out in another, each once, whatever the caches.
    @Test(arguments: ["all", "megaflow", "none"]) func everyFrameComesOutOnce(cache: String) throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("weft-replay-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let frames = (0..<500).map { number -> [UInt8] in
            var frame = [UInt8](repeating: 0, count: 60)
            frame[12] = 0x08
            frame[14] = 0x45
            frame[17] = 46
            frame[23] = 17
            frame[30] = 10
            frame[33] = UInt8(number % 251)
            frame[35] = UInt8(number % 7)
            return frame
        }
        let input = folder.appendingPathComponent("in.pcap")
        try capture(frames).write(to: input)
        let flows = folder.appendingPathComponent("flows")
        try Data("udp,nw_dst=10.0.0.0/8,actions=output:2\n".utf8).write(to: flows)
        var plan = ReplayPlan()
        plan.receive = [try FileOfPort(input.path, defaultPort: "p0")]
        plan.transmit = [try FileOfPort("p1=\(folder.path)/out.pcap", defaultPort: nil)]
        plan.flowFile = flows.path
        plan.options.cache.levels = try #require(.init(rawValue: cache))
        plan.options.cache.exactEntries = 1024
        plan.options.cache.signatureEntries = 1024
        let report = try Replay(plan).run()
        #expect(report.packets == 500)
        #expect(report.forwarded == 500)
        #expect(report.drops.isEmpty)
        #expect(try Data(contentsOf: folder.appendingPathComponent("out.pcap")).count == 24 + 500 * 76)
    }

    @Test func errorsNameFileAndLine() throws {
        let setup = FileManager.default.temporaryDirectory.appendingPathComponent("weft-setup-\(UUID().uuidString)")
        try Data("add-br br0\nadd-porrt br0 p0\n".utf8).write(to: setup)
        defer { try? FileManager.default.removeItem(at: setup) }
        var plan = ReplayPlan()
        plan.setupFile = setup.path
        let error = #expect(throws: ReplayError.self) { _ = try Replay(plan).run() }
        #expect(error?.description.contains("\(setup.path):2: ") == true)
    }

    private func capture(_ frames: [[UInt8]]) -> Data {
        func word(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        var bytes = word(0xa1b2_c3d4) + [2, 0, 4, 0] + word(0) + word(0) + word(65535) + word(1)
        for frame in frames {
            bytes += word(0) + word(0) + word(UInt32(frame.count)) + word(UInt32(frame.count)) + frame
        }
        return Data(bytes)
    }
}
