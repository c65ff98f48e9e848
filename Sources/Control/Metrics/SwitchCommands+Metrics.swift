import Base
import Dataplane
import Pipeline
import Ports

extension SwitchCommands {
    /// All figures, as `metrics` answers. Statistics have been folded before.
    func metrics() -> String {
        var metrics = MetricsText()
        writeSwitch(&metrics)
        writePorts(&metrics)
        writeCaches(&metrics)
        writeWorkers(&metrics)
        writeTables(&metrics)
        writeConnections(&metrics)
        writeMeters(&metrics)
        writeServices(&metrics)
        return metrics.text
    }

    private func writeSwitch(_ metrics: inout MetricsText) {
        metrics.family("weft_build_info", .gauge, "Version of the switch; the value is always 1.")
        metrics.sample([("version", Control.version)], 1)
        metrics.family("weft_uptime_seconds", .gauge, "Seconds since the switch was started.")
        metrics.sample((SwitchClock.monotonicNanoseconds() - started) / 1_000_000_000)
        metrics.family("weft_bridges", .gauge, "Bridges.")
        metrics.sample(configured.bridges.count)
        metrics.family(
            "weft_drops_total", .counter,
            "Frames dropped inside the switch, by the port that they came in through and reason.")
        for drops in dropsByPort() + [dropsOfNoPort()] {
            for (reason, count) in drops.inside.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                metrics.sample([("bridge", drops.bridge), ("port", drops.port), ("reason", reason.name)], count)
            }
        }
    }

    private struct PortFigures {
        let labels: [(String, String)]
        let received: PortStatistics
        let transmitted: PortStatistics
        let isUp: Bool
    }

    private func writePorts(_ metrics: inout MetricsText) {
        let ports = device.ports.values.sorted { $0.index.rawValue < $1.index.rawValue }.compactMap { attached in
            model.state.port(attached.index).map { port in
                let bridge = model.state.bridges[port.bridge]?.name ?? ""
                return PortFigures(
                    labels: [("bridge", bridge), ("port", port.name)], received: attached.port.received,
                    transmitted: attached.port.transmitted, isUp: attached.port.status.linkUp)
            }
        }
        metrics.family("weft_port_up", .gauge, "1 if the port's link is up.")
        for port in ports { metrics.sample(port.labels, port.isUp ? 1 : 0) }
        for (direction, word) in [("rx", "received"), ("tx", "transmitted")] {
            func write(_ what: String, _ help: String, _ value: (PortStatistics) -> UInt64) {
                metrics.family("weft_port_\(direction)_\(what)_total", .counter, help)
                for port in ports {
                    metrics.sample(port.labels, value(direction == "rx" ? port.received : port.transmitted))
                }
            }
            write("packets", "Frames \(word).") { $0.packets }
            write("bytes", "Bytes \(word).") { $0.bytes }
            write("errors", "Errors of the device.") { $0.errors }
            metrics.family("weft_port_\(direction)_drops_total", .counter, "Frames dropped at the port, by reason.")
            for port in ports {
                let drops = direction == "rx" ? port.received.drops : port.transmitted.drops
                for (reason, count) in drops.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
                    metrics.sample(port.labels + [("reason", reason.name)], count)
                }
            }
        }
    }

    private func writeCaches(_ metrics: inout MetricsText) {
        let cache = device.cacheSummary
        metrics.family("weft_cache_hits_total", .counter, "Lookups answered, by cache.")
        metrics.sample([("cache", "session")], cache.sessionHits)
        metrics.sample([("cache", "exact")], cache.exactHits)
        metrics.sample([("cache", "signature")], cache.signatureHits)
        metrics.sample([("cache", "megaflow")], cache.megaflowHits)
        metrics.family("weft_cache_misses_total", .counter, "Lookups that went to the slow path.")
        metrics.sample(cache.misses)
        metrics.family("weft_sessions", .gauge, "Sessions in the caches.")
        metrics.sample(cache.sessions)
        metrics.family("weft_session_paths", .gauge, "Distinct ways that sessions take.")
        metrics.sample(cache.sessionPaths)
        metrics.family("weft_sessions_made_total", .counter, "Sessions made, or made anew.")
        metrics.sample(cache.sessionsMade)
        metrics.family(
            "weft_sessions_refused_total", .counter, "Packets whose session did not hold: their connection had changed."
        )
        metrics.sample(cache.sessionsRefused)
        metrics.family("weft_sessions_evicted_total", .counter, "Sessions that made room for others.")
        metrics.sample(cache.sessionsEvicted)
        metrics.family("weft_megaflows", .gauge, "Megaflows in the caches.")
        metrics.sample(cache.megaflows)
        metrics.family("weft_megaflow_masks", .gauge, "Masks of the worker that has most.")
        metrics.sample(cache.masks)
        metrics.family("weft_megaflows_evicted_total", .counter, "Megaflows that made room for others.")
        metrics.sample(cache.evicted)
    }

    private func writeWorkers(_ metrics: inout MetricsText) {
        func write(_ name: String, _ help: String, _ word: WorkerCounters.Word) {
            metrics.family("weft_worker_\(name)_total", .counter, help)
            for worker in device.workers { metrics.sample([("worker", String(worker.number))], worker.counters[word]) }
        }
        write("packets", "Packets processed.", .packets)
        write("busy_cycles", "Time stamp counter ticks in rounds that moved a packet.", .busyCycles)
        write("idle_cycles", "Time stamp counter ticks in rounds that moved none.", .idleCycles)
        write("slow_path_packets", "Packets that went through the slow path.", .slowPathPackets)
        write("slow_path_cycles", "Time stamp counter ticks in the slow path.", .slowPathCycles)
        write("sleeps", "Times that the worker slept for want of packets.", .sleeps)
    }

    private func writeTables(_ metrics: inout MetricsText) {
        metrics.family("weft_flows", .gauge, "Flows, by table.")
        for bridge in configured.bridges {
            for (table, flows) in (try? model.activeTables(of: bridge.name)) ?? [] {
                metrics.sample([("bridge", bridge.name), ("table", String(table))], flows)
            }
        }
        metrics.family("weft_groups", .gauge, "Groups.")
        for case let bridge? in model.state.bridges { metrics.sample([("bridge", bridge.name)], bridge.groups.count) }
        metrics.family("weft_fdb_entries", .gauge, "Learned MAC addresses.")
        for case let bridge? in model.state.bridges {
            metrics.sample([("bridge", bridge.name)], bridge.stations.statistics.entries)
        }
    }
}
