import Control
import FrameSupport
import Testing

@Suite struct PlanTests {
    private static let base = """
        bridges:
          - name: br0
            local: none
            ports:
              - {name: a, type: "null", ofport: 1}
              - {name: b, type: "null", ofport: 2, tag: 5}
            groups: ["group_id=1,type=all,bucket=output:1"]
            mirrors:
              - {name: m, select-src-port: a, output-port: b}
          - {name: br1, local: none}
        """

    private func plan(_ change: (inout Configuration) -> Void) throws -> [ConfigurationPlan.Step] {
        let old = try ConfigurationTests.parse(Self.base)
        var new = old
        change(&new)
        return ConfigurationPlan(from: old, to: new).steps
    }

    @Test func nothingToDo() throws {
        #expect(try plan { _ in }.isEmpty)
    }

    @Test func changedPortStaysOpen() throws {
        let steps = try plan { $0.bridges[0].ports[1].tag = 6 }
        guard case .changePort("br0", let port)? = steps.first, steps.count == 1 else { return #expect(Bool(false)) }
        #expect(port.name == "b" && port.tag == 6)
    }

    @Test func numberThatIsNotAskedForStays() throws {
        #expect(try plan { $0.bridges[0].ports[0].number = nil }.isEmpty)
    }

    @Test func anotherDeviceIsAnotherPort() throws {
        let steps = try plan { $0.bridges[0].ports[0].kind = .pcap }
        #expect(steps.count == 4)
        #expect(steps[0] == .deleteMirror(bridge: "br0", mirror: "m"))
        #expect(steps[1] == .deletePort(bridge: "br0", port: "a"))
        guard case .addPort("br0", let port) = steps[2] else { return #expect(Bool(false)) }
        #expect(port.kind == .pcap)
        guard case .addMirror("br0", _) = steps[3] else { return #expect(Bool(false)) }
    }

    @Test func bridgesComeAndGo() throws {
        let steps = try plan {
            $0.bridges.remove(at: 1)
            $0.bridges.append(BridgeConfiguration(name: "br2"))
        }
        #expect(steps == [.deleteBridge("br1"), .addBridge(BridgeConfiguration(name: "br2"))])
    }

    @Test func bridgeSettings() throws {
        let steps = try plan { $0.bridges[0].failMode = .secure }
        guard case .changeBridge(let bridge)? = steps.first, steps.count == 1 else { return #expect(Bool(false)) }
        #expect(bridge.failMode == .secure && bridge.ports.isEmpty)
    }

    @Test func ownPortMakesTheBridgeAnew() throws {
        let steps = try plan { $0.bridges[0].local = .tap }
        #expect(steps.first == .deleteBridge("br0"))
        #expect(steps.count == 6)
    }

    @Test func flowsOnlyWhereTheyAreSaid() throws {
        #expect(try plan { $0.bridges[0].flows = "" } == [.replaceFlows(bridge: "br0", "")])
    }

    @Test func groupsBeforeFlowsBeforeTheirDeletion() throws {
        let steps = try plan {
            $0.bridges[0].groups = ["group_id=2,type=all"]
            $0.bridges[0].flows = "actions=group:2"
        }
        #expect(
            steps == [
                .addGroups(bridge: "br0", ["group_id=2,type=all"]), .replaceFlows(bridge: "br0", "actions=group:2"),
                .deleteGroups(bridge: "br0", keeping: ["group_id=2,type=all"]),
            ])
    }

    /// From nothing to a configuration and back, and between any two: steps name only what is there by then.
    @Test func randomPlansAreConsistent() {
        var random = SeededRandom(seed: 5)
        var old = Configuration()
        for _ in 0..<300 {
            let new = RandomConfiguration.make(&random)
            var ports = Set(old.bridges.flatMap { bridge in bridge.ports.map { "\(bridge.name)/\($0.name)" } })
            var bridges = Set(old.bridges.map(\.name))
            for step in ConfigurationPlan(from: old, to: new).steps {
                switch step {
                case .deletePort(let bridge, let port): #expect(ports.remove("\(bridge)/\(port)") != nil)
                case .addPort(let bridge, let port):
                    #expect(bridges.contains(bridge))
                    #expect(ports.insert("\(bridge)/\(port.name)").inserted)
                case .changePort(let bridge, let port): #expect(ports.contains("\(bridge)/\(port.name)"))
                case .deleteBridge(let name):
                    #expect(bridges.remove(name) != nil)
                    ports = ports.filter { !$0.hasPrefix(name + "/") }
                case .addBridge(let bridge): #expect(bridges.insert(bridge.name).inserted)
                default: break
                }
            }
            #expect(bridges == Set(new.bridges.map(\.name)))
            #expect(ports == Set(new.bridges.flatMap { bridge in bridge.ports.map { "\(bridge.name)/\($0.name)" } }))
            old = new
        }
    }
}
