import Foundation
import Glibc

/// What the process may do (capabilities(7)): devices need two capabilities, files and patch ports none.
public enum Privileges {
    /// Bit numbers of linux/capability.h.
    public enum Capability: Int, CaseIterable, Sendable {
        case netAdmin = 12
        case netRaw = 13

        public var name: String { self == .netAdmin ? "CAP_NET_ADMIN" : "CAP_NET_RAW" }

        /// What does not work without it.
        public var purpose: String {
            switch self {
            case .netAdmin: "making TAP devices and setting MTU and promiscuous mode"
            case .netRaw: "packet sockets on network devices"
            }
        }
    }

    /// Capabilities that this process lacks, from the `CapEff` line of /proc/self/status.
    public static func missing() -> [Capability] {
        guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return [] }
        return missing(status: status)
    }

    package static func missing(status: String) -> [Capability] {
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        guard let field = line?.split(whereSeparator: \.isWhitespace).last, let bits = UInt64(field, radix: 16) else {
            return []
        }
        return Capability.allCases.filter { bits >> UInt64($0.rawValue) & 1 == 0 }
    }

    /// Allows as many open files as the hard limit does: one for each client, port and queue.
    public static func raiseFileLimit() {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
        limit.rlim_cur = min(limit.rlim_max, 65536)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
