import Base
import Dataplane
import Pipeline
import Ports

extension SwitchCommands {
    func bindWorkerCommands(_ registry: CommandRegistry) {
        registry.bind("pmd/show") { _ throws(CommandError) in self.showWorkers() }
        registry.bind("pmd/stats") { _ throws(CommandError) in self.workerStatistics() }
        registry.bind("pmd/clear") { _ throws(CommandError) in
            self.device.clearWorkerStatistics()
            return .done
        }
    }

    private func queues(of worker: Int) -> [(port: String, queue: Int)] {
        device.ports.values.flatMap { attached -> [(port: String, queue: Int)] in
            attached.placement.enumerated().filter { $0.element == worker }.map { (attached.port.name, $0.offset) }
        }.sorted { ($0.port, $0.queue) < ($1.port, $1.queue) }
    }

    private func showWorkers() -> CommandResult {
        let workers = device.workers.map { ($0, queues(of: $0.number)) }
        return CommandResult(
            text: {
                workers.map { worker, queues in
                    let core = worker.core.map { "core \($0)" } ?? "any core"
                    return "worker \(worker.number) (\(core)):\n"
                        + queues.map { "  port \($0.port) queue \($0.queue)\n" }.joined()
                }.joined()
            },
            json: {
                .array(
                    workers.map { worker, queues in
                        [
                            "worker": JSONValue(worker.number), "core": worker.core.map { JSONValue($0) } ?? .null,
                            "queues": .array(
                                queues.map { ["port": .string($0.port), "queue": JSONValue($0.queue)] }),
                        ]
                    })
            })
    }

    /// Figures of one worker that follow from its counters.
    private struct Figures {
        let counters: WorkerCounters
        var packets: UInt64 { counters[.packets] }
        var cyclesPerPacket: Double { ratio(counters[.busyCycles], packets) }
        var packetsPerBurst: Double { ratio(packets, counters[.bursts]) }
        /// 0 to 100.
        var busyShare: Double { ratio(counters[.busyCycles] &* 100, counters[.busyCycles] &+ counters[.idleCycles]) }
        var slowPathCycles: Double { ratio(counters[.slowPathCycles], counters[.slowPathPackets]) }

        /// Nanoseconds.
        var longestPause: Double { ratio(counters[.longestPause] &* 1_000_000, Worker.cyclesPerMillisecond) }

        private func ratio(_ a: UInt64, _ b: UInt64) -> Double { b == 0 ? 0 : Double(a) / Double(b) }
    }

    private func workerStatistics() -> CommandResult {
        let workers = device.workers.map { ($0.number, Figures(counters: $0.counters)) }
        let latency = device.latency([0.5, 0.99, 0.999])
        return CommandResult(
            text: {
                var text = ""
                for (number, figures) in workers {
                    let counters = figures.counters
                    text += """
                        worker \(number):
                          packets: \(figures.packets), copies: \(counters[.copies])
                          cycles per packet: \(Self.decimal(figures.cyclesPerPacket, 1))
                          busy: \(Self.decimal(figures.busyShare, 1)) %, sleeps: \(counters[.sleeps])
                          packets per burst: \(Self.decimal(figures.packetsPerBurst, 2))
                          slow path: \(counters[.slowPathPackets]) packets, \
                        \(Self.decimal(figures.slowPathCycles, 0)) cycles each
                          longest pause: \(Self.decimal(figures.longestPause / 1000, 1)) us

                        """
                }
                let times = latency.map { Self.decimal($0, 0) }
                return text + "latency: p50 \(times[0]) ns, p99 \(times[1]) ns, p99.9 \(times[2]) ns\n"
            },
            json: {
                .array(
                    workers.map { number, figures in
                        [
                            "worker": JSONValue(number), "packets": JSONValue(figures.packets),
                            "cycles_per_packet": .number(figures.cyclesPerPacket),
                            "busy_percent": .number(figures.busyShare),
                            "packets_per_burst": .number(figures.packetsPerBurst),
                            "sleeps": JSONValue(figures.counters[.sleeps]),
                            "longest_pause_ns": .number(figures.longestPause),
                            "slow_path_packets": JSONValue(figures.counters[.slowPathPackets]),
                            "slow_path_cycles_per_packet": .number(figures.slowPathCycles),
                        ]
                    })
            })
    }
}
