import Base
import Dataplane

/// What a replay measured.
public struct ReplayReport: Sendable {
    public var packets: UInt64 = 0
    public var bytes: UInt64 = 0
    public var seconds = 0.0
    public var busyCycles: UInt64 = 0
    public var workers = 1
    public var cache = CacheSummary()
    public var forwarded: UInt64 = 0
    public var drops: [DropReason: UInt64] = [:]
    public var slowPathPackets: UInt64 = 0
    /// Seconds that the workers spent in the slow path, added up.
    public var slowPathSeconds = 0.0
    /// Nanoseconds at the median, 99th and 99.9th percentile.
    public var latency: [Double] = [0, 0, 0]

    public var millionPacketsPerSecond: Double { seconds > 0 ? Double(packets) / seconds / 1e6 : 0 }
    public var gigabitsPerSecond: Double { seconds > 0 ? Double(bytes) * 8 / seconds / 1e9 : 0 }
    public var cyclesPerPacket: Double { packets > 0 ? Double(busyCycles) / Double(packets) : 0 }
    /// Misses resolved in a second of slow-path time, by one worker.
    public var setupRate: Double { slowPathSeconds > 0 ? Double(slowPathPackets) / slowPathSeconds : 0 }

    private var cacheJSON: JSONValue {
        let members: [(String, UInt64)] = [
            ("session_hits", cache.sessionHits), ("sessions_refused", cache.sessionsRefused),
            ("sessions_made", cache.sessionsMade), ("sessions_unfit", cache.sessionsUnfit),
            ("sessions", cache.sessions), ("session_paths", cache.sessionPaths),
            ("exact_hits", cache.exactHits), ("signature_hits", cache.signatureHits),
            ("megaflow_hits", cache.megaflowHits), ("misses", cache.misses), ("megaflows", cache.megaflows),
            ("masks", cache.masks),
        ]
        return .object(members.map { JSONValue.Member($0.0, .unsigned($0.1)) })
    }

    var jsonValue: JSONValue {
        let dropped = drops.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            JSONValue.Member($0.key.name, .unsigned($0.value))
        }
        let members: [JSONValue.Member] = [
            JSONValue.Member("packets", .unsigned(packets)), JSONValue.Member("bytes", .unsigned(bytes)),
            JSONValue.Member("seconds", .number(seconds)), JSONValue.Member("mpps", .number(millionPacketsPerSecond)),
            JSONValue.Member("gbps", .number(gigabitsPerSecond)),
            JSONValue.Member("cycles_per_packet", .number(cyclesPerPacket)),
            JSONValue.Member("workers", .integer(Int64(workers))), JSONValue.Member("cache", cacheJSON),
            JSONValue.Member("forwarded", .unsigned(forwarded)), JSONValue.Member("drops", .object(dropped)),
            JSONValue.Member("setup_rate", .number(setupRate)),
            JSONValue.Member(
                "latency_ns",
                .object(zip(["p50", "p99", "p999"], latency).map { JSONValue.Member($0, .number($1)) })),
        ]
        return .object(members)
    }

    public var json: String { jsonValue.text }

    public var text: String {
        var lines = [
            "\(packets) frames, \(bytes) bytes in \(Self.round(seconds, 3)) s, workers: \(workers)",
            """
            \(Self.round(millionPacketsPerSecond, 3)) Mpps, \(Self.round(gigabitsPerSecond, 3)) Gbit/s, \
            \(Self.round(cyclesPerPacket, 1)) cycles a packet
            """,
            "forwarded \(forwarded)",
            """
            sessions: hits \(cache.sessionHits), refused \(cache.sessionsRefused), made \(cache.sessionsMade), \
            sessions \(cache.sessions), paths \(cache.sessionPaths)
            """,
            """
            cache: exact hits \(cache.exactHits), signature hits \(cache.signatureHits), \
            megaflow hits \(cache.megaflowHits), misses \(cache.misses), megaflows \(cache.megaflows), \
            masks \(cache.masks)
            """,
            "slow path: \(Self.round(setupRate, 0)) flows a second a worker",
            """
            latency: p50 \(Self.round(latency[0], 0)) ns, p99 \(Self.round(latency[1], 0)) ns, \
            p99.9 \(Self.round(latency[2], 0)) ns
            """,
        ]
        for (reason, count) in drops.sorted(by: { $0.value > $1.value }) {
            lines.append("dropped \(count) \(reason.name)")
        }
        return lines.joined(separator: "\n")
    }

    private static func round(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let rounded = (value * scale).rounded() / scale
        return digits == 0 ? "\(Int64(rounded))" : "\(rounded)"
    }
}
