import Conntrack
import Dataplane
import Synchronization

extension SwitchCommands {
    /// Connection tracking: nothing here walks over connections.
    func writeConnections(_ metrics: inout MetricsText) {
        let tracker = device.tracker
        metrics.family("weft_connections", .gauge, "Tracked connections, by protocol.")
        for index in ProtocolIndex.allCases {
            metrics.sample([("protocol", index.name)], tracker.count(of: index))
        }
        metrics.family("weft_connections_limit", .gauge, "Most connections over all zones.")
        metrics.sample(tracker.limit)
        metrics.family("weft_connections_memory_bytes", .gauge, "Memory that connections have taken so far.")
        metrics.sample(tracker.memoryUsed)
        writeZones(&metrics)
        for group in counterGroups {
            switch group.name {
            case "packets": metrics.family("weft_tracked_packets_total", .counter, "Tracked packets, by state.")
            case "events": metrics.family("weft_connection_events_total", .counter, "Connections begun and ended.")
            case "refused":
                metrics.family("weft_connections_refused_total", .counter, "Connections not committed, by reason.")
            case "invalid":
                metrics.family("weft_tracked_packets_invalid_total", .counter, "Invalid packets, by reason if known.")
            case "resumed":
                metrics.family(
                    "weft_tracked_packets_resumed_total", .counter,
                    "Tracked packets whose connection was known without a lookup.")
            case "announced": continue
            case "nat": metrics.family("weft_nat_total", .counter, "Translations chosen, and tuples found taken.")
            default: metrics.family("weft_fragments_total", .counter, "Fragments on their way through tracking.")
            }
            let label = group.name == "packets" ? "state" : group.name == "events" ? "event" : "reason"
            for counter in group.counters where counter.name != "held" {
                metrics.sample([(label, counter.name)], counter.value)
            }
        }
        metrics.family("weft_connections_announced", .gauge, "Connections that helpers wait for.")
        metrics.sample(tracker.expectations.expected)
        metrics.family(
            "weft_connections_announced_evicted_total", .counter, "Announced connections that went for newer ones.")
        metrics.sample(tracker.expectations.evicted.load(ordering: .relaxed))
        metrics.family("weft_fragments_held", .gauge, "Fragments that wait for their datagram.")
        metrics.sample(device.reassembler.held)
    }

    /// Of zones that have a limit of their own: there may be 65,536 zones.
    private func writeZones(_ metrics: inout MetricsText) {
        let tracker = device.tracker
        let zones = configured.tracking.limits.keys.sorted()
        func write(_ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: (UInt16) -> UInt64) {
            metrics.family("weft_zone_\(name)", kind, help + " Zones with a limit of their own.")
            for zone in zones { metrics.sample([("zone", String(zone))], value(zone)) }
        }
        write("connections", .gauge, "Tracked connections.") { UInt64(tracker.count(zone: $0)) }
        write("connections_limit", .gauge, "Most connections.") { UInt64(tracker.zoneLimit($0)) }
        write("connections_refused_total", .counter, "Connections refused at the limit.") { tracker.refused(zone: $0) }
    }
}
