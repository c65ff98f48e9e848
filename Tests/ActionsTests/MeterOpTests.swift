import Actions
import Base
import FrameSupport
import Memory
import Shaping
import Testing

/// The `meter` op, and a meter in front of `controller`, with time that stands still.
@Suite struct MeterOpTests {
    private let frame = ethernet(
        type: 0x0800, ipv4(1, 2, ipProtocol: 17, udp(.v4(1, 2), 3, 4, payload: [UInt8](0..<40))))
    private let meters = MeterTable()

    /// Ports and drops for each of `count` frames.
    private func runs(_ count: Int, isRehearsal: Bool = false, _ body: (inout ProgramBuilder) -> Void) -> [RunResult] {
        _ = meters.add(MeterSettings(countsPackets: true, bands: [.init(rate: 1, burst: 2)]), now: 0)
        var builder = ProgramBuilder()
        body(&builder)
        var services = ExecutionServices()
        services.meters = meters.lookup
        services.isRehearsal = isRehearsal
        var results: [RunResult] = []
        withPool { pool in
            withUnsafeMutablePointer(to: &services) { services in
                for _ in 0..<count {
                    results.append(run(builder, on: frame, pool: &pool, addsOutput: false, services: services))
                }
            }
            #expect(pool.inUse == 0)
        }
        return results
    }

    @Test func whatExceedsEndsThere() {
        let results = runs(3) {
            $0.output(PortIndex(1))
            $0.meter(0)
            $0.output(PortIndex(2))
        }
        #expect(results.map { $0.sent.map(\.port) } == [[1, 2], [1, 2], [1]])
        // Sent somewhere, so no drop.
        #expect(results.allSatisfy { $0.drops.isEmpty })
        let seen = meters.statistics(0)
        #expect(seen.packets == 3 && seen.bytes == UInt64(3 * frame.count) && seen.bands[0].packets == 1)
    }

    @Test func whatIsSentNowhereIsADropByName() {
        #expect(
            runs(3) {
                $0.meter(0)
                $0.drop(.ruleDrop)
            }.map(\.drops) == [[.ruleDrop], [.ruleDrop], [.meterExceeded]])
    }

    /// Only the controller's copy is policed; the frame goes on.
    @Test func controllersBehindAMeter() {
        let results = runs(3) { $0.controller(reason: 1, meter: 0) }
        #expect(results.map(\.drops) == [[.controllerAction], [.controllerAction], [.meterExceeded]])
        let others = runs(2) {
            $0.controller(reason: 1, meter: 0)
            $0.output(PortIndex(1))
        }
        #expect(others.allSatisfy { $0.sent.count == 1 && $0.drops.isEmpty })
    }

    /// The body of a clone ends, the frame does not.
    @Test func clonesEndByThemselves() {
        let results = runs(3) {
            let body = $0.beginClone()
            $0.meter(0)
            $0.output(PortIndex(1))
            $0.endClone(body)
            $0.output(PortIndex(2))
        }
        #expect(results.map { $0.sent.map(\.port) } == [[1, 2], [1, 2], [2]])
    }

    @Test func tracesTakeNothing() {
        let results = runs(5, isRehearsal: true) {
            $0.meter(0)
            $0.output(PortIndex(1))
        }
        #expect(results.allSatisfy { $0.outcome.sent == 1 })
        #expect(meters.statistics(0).packets == 0)
    }

    @Test func aMeterThatIsNotThere() {
        #expect(
            runs(4) {
                $0.meter(77)
                $0.output(PortIndex(1))
            }.allSatisfy { $0.sent.count == 1 })
    }
}
