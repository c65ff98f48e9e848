import Base
import Flow
import Pipeline
import Testing

@Suite("Bridges and ports") struct StatePortTests {
    func kind(_ body: () throws -> Void) -> StateError.Kind? {
        do { try body() } catch let error as StateError { return error.kind } catch { Issue.record("\(error)") }
        return nil
    }

    @Test("a standalone bridge switches until flows say otherwise; a secure one has none") func failMode() throws {
        let model = SwitchModel()
        try model.addBridge("br0", now: 0)
        #expect(model.rules().map(\.actions) == [[.output(.normal)]])
        #expect(model.rules().map(\.priority) == [0])
        try model.apply(FlowMod(.delete), to: "br0", now: 1)
        #expect(model.rules().isEmpty)
        try model.setBridge("br0", now: 2) { $0.failMode = .secure }
        try model.setBridge("br0", now: 3) { $0.failMode = .standalone }
        #expect(model.rules().count == 1)
        #expect(kind { try model.addBridge("br0", now: 4) } == .duplicate)
        #expect(model.state.bridge(named: "br0")?.ports[.local] != nil)
        _ = model.snapshot()
    }

    @Test("numbers are as asked or the lowest free; duplicates are refused") func numbers() throws {
        let model = try SwitchModel.withBridge()
        func number(_ index: PortIndex) -> UInt32? { model.state.port(index)?.number.rawValue }
        let a = try model.addPort(PortRequest("a"), to: "br0")
        let b = try model.addPort(PortRequest("b", number: PortNumber(3)), to: "br0")
        let c = try model.addPort(PortRequest("c"), to: "br0")
        let d = try model.addPort(PortRequest("d"), to: "br0")
        #expect([a, b, c, d].map(number) == [1, 3, 2, 4])
        #expect(kind { try model.addPort(PortRequest("a"), to: "br0") } == .duplicate)
        #expect(kind { try model.addPort(PortRequest("br0"), to: "br0") } == .duplicate)
        #expect(kind { try model.addPort(PortRequest("e", number: PortNumber(3)), to: "br0") } == .duplicate)
        #expect(kind { try model.addPort(PortRequest("e", number: PortNumber(0)), to: "br0") } == .invalid)
        #expect(kind { try model.addPort(PortRequest("e", number: PortNumber(0xff00)), to: "br0") } == .invalid)
        #expect(kind { try model.addPort(PortRequest("e"), to: "br9") } == .unknown)
        #expect(kind { try model.addPort(PortRequest("e"), to: "br0") { $0.tag = 4096 } } == .invalid)
        #expect(kind { try model.addPort(PortRequest("e"), to: "br0") { $0.number = PortNumber(9) } } == .invalid)
        #expect(model.state.port(named: "e") == nil)
        try model.deletePort(a)
        #expect(kind { try model.deletePort(a) } == .unknown)
        let e = try model.addPort(PortRequest("e"), to: "br0")
        #expect(number(e) == 1)
        // An index is not given out again at once.
        #expect(e != a)
        #expect(try model.port("e", on: "br0").index == e)
        #expect(try model.port("3", on: "br0").index == b)
        #expect(kind { _ = try model.port("17", on: "br0") } == .unknown)
        _ = model.snapshot()
    }

    @Test("flags and VLANs change; identity does not; learning behind a port follows its VLANs") func settings() throws
    {
        let model = try SwitchModel.withBridge()
        let a = try model.addPort(PortRequest("a"), to: "br0")
        let stations = try #require(model.state.bridge(named: "br0")?.stations)
        _ = stations.learn(vlan: 0, mac: 2, port: a, now: 0)
        let before = model.changes.generation
        try model.setPort(a) { $0.noFlood = true }
        #expect(model.changes.touchedSince(before) == .ports)
        #expect(stations.lookup(vlan: 0, mac: 2) != nil)
        try model.setPort(a) { port in
            port.vlanMode = .access
            port.tag = 7
        }
        #expect(stations.lookup(vlan: 0, mac: 2) == nil)
        #expect(kind { try model.setPort(a) { $0.name = "b" } } == .invalid)
        #expect(kind { try model.setPort(a) { $0.trunks = [5000] } } == .invalid)
        let same = model.changes.generation
        try model.setPort(a) { $0.tag = 7 }
        #expect(model.changes.generation == same)
        _ = model.snapshot()
    }

    @Test("ports of all kinds and bridges share one limit; what is one too many leaves no trace") func limit() throws {
        let model = try SwitchModel.withBridge()
        model.portLimit = 40
        try model.addBridge("br1", now: 0)
        var indices: [PortIndex] = []
        for number in 0..<38 {
            let kind: PortRequest.Kind = number % 2 == 0 ? .plain : .patch(peer: "p\(number + 2)")
            indices.append(try model.addPort(PortRequest("p\(number)", kind: kind), to: "br\(number % 2)"))
        }
        #expect(Set(indices.map(\.rawValue)).max() == 40)
        let before = model.snapshot()
        let generation = model.changes.generation
        for kind in [PortRequest.Kind.plain, .patch(peer: "p1"), .patch(peer: "none")] {
            let error = #expect(throws: StateError.self) {
                try model.addPort(PortRequest("extra", kind: kind), to: "br0")
            }
            #expect(error?.kind == .exhausted)
            #expect(error?.description.contains("40 ports") == true)
        }
        #expect(kind { try model.addBridge("br2", now: 0) } == .exhausted)
        #expect(model.state.bridge(named: "br2") == nil)
        #expect(model.state.port(named: "extra") == nil)
        #expect(model.snapshot() == before)
        #expect(model.changes.generation == generation)
        // One goes, one can come, under the index that went.
        try model.deletePort(indices[7])
        #expect(try model.addPort(PortRequest("extra", kind: .patch(peer: "p1")), to: "br1") == indices[7])
        #expect(kind { try model.addPort(PortRequest("more"), to: "br0") } == .exhausted)
        _ = model.snapshot()
    }

    @Test("patch ports connect when both name each other, and part when one goes") func patches() throws {
        let model = try SwitchModel.withBridge()
        var secure = BridgeSettings()
        secure.failMode = .secure
        try model.addBridge("br1", secure, now: 0)
        func peer(_ name: String) -> PortIndex? {
            guard case .patch(let peer) = model.state.port(named: name)?.kind else { return nil }
            return peer
        }
        let a = try model.addPort(PortRequest("a", kind: .patch(peer: "b")), to: "br0")
        #expect(peer("a") == nil)
        let b = try model.addPort(PortRequest("b", kind: .patch(peer: "x")), to: "br1")
        #expect(peer("a") == nil)
        try model.setPeer(of: b, to: "a")
        #expect(peer("a") == b && peer("b") == a)
        try model.deletePort(b)
        #expect(peer("a") == nil)
        try model.addPort(PortRequest("b", kind: .patch(peer: "a")), to: "br1")
        #expect(peer("a") != nil)
        try model.deleteBridge("br1")
        #expect(peer("a") == nil)
        #expect(kind { try model.deleteBridge("br1") } == .unknown)
        let own = try model.addPort(PortRequest("self", kind: .patch(peer: "self")), to: "br0")
        #expect(peer("self") == nil && model.peerName(of: own) == "self")
        _ = model.snapshot()
    }

    @Test("mirrors are checked, and forget ports that go") func mirrors() throws {
        let model = try SwitchModel.withBridge()
        let a = try model.addPort(PortRequest("a"), to: "br0")
        let b = try model.addPort(PortRequest("b"), to: "br0")
        var request = MirrorRequest("m")
        #expect(kind { try model.addMirror(request, to: "br0", now: 0) } == .invalid)
        request.outputPort = b
        request.selectSource = [a, PortIndex(77)]
        #expect(kind { try model.addMirror(request, to: "br0", now: 0) } == .unknown)
        request.selectSource = [a]
        try model.addMirror(request, to: "br0", now: 0)
        #expect(kind { try model.addMirror(request, to: "br0", now: 0) } == .duplicate)
        try model.deletePort(a)
        #expect(model.state.bridge(named: "br0")?.mirrors.first?.selectSource == [])
        try model.deleteMirror("m", of: "br0")
        #expect(kind { try model.deleteMirror("m", of: "br0") } == .unknown)
        _ = model.snapshot()
    }

    @Test("a deleted bridge takes everything along, and its successor starts empty") func deletion() throws {
        let model = try SwitchModel.withBridge()
        try model.addPort(PortRequest("a"), to: "br0")
        try model.apply(FlowMod(.add, actions: [.drop]), to: "br0", now: 0)
        try model.apply(GroupMod(.add, id: 1), to: "br0", now: 0)
        try model.deleteBridge("br0")
        #expect(model.snapshot().isEmpty)
        var settings = BridgeSettings()
        settings.failMode = .secure
        try model.addBridge("br0", settings, now: 1)
        #expect(model.rules().isEmpty && model.state.bridge(named: "br0")?.ports.count == 1)
    }
}
