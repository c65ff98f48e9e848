import Base
import Dataplane

/// What `weft-replay` was asked to do.
public struct ReplayPlan: Sendable {
    public var receive: [FileOfPort] = []
    public var transmit: [FileOfPort] = []
    public var setupFile: String?
    public var flowFile: String?
    public var loops = false
    /// Measured time; nil until the files end.
    public var seconds: Double?
    /// Frames to receive; nil for as many as come.
    public var count: UInt64?
    /// Seconds before measuring begins.
    public var warmup = 0.0
    public var options = Switch.Options()

    public init() {}
}

/// `PORT=FILE` of `--rx` and `--tx`.
public struct FileOfPort: Sendable, Equatable {
    public let port: String
    public let file: String

    /// A name before the first `=` is a port unless it has a slash; `defaultPort` nil demands one.
    public init(_ text: String, defaultPort: String?) throws(ReplayError) {
        if let mark = text.firstIndex(of: "="), !text[..<mark].contains("/"), mark != text.startIndex {
            port = String(text[..<mark])
            file = String(text[text.index(after: mark)...])
        } else if let defaultPort {
            port = defaultPort
            file = text
        } else {
            throw ReplayError("\"\(text.echoed)\": expected PORT=FILE")
        }
        guard !file.isEmpty else { throw ReplayError("\"\(text.echoed)\": no file name") }
    }
}

/// Why a replay could not be run.
public struct ReplayError: Error, CustomStringConvertible, Sendable {
    public let description: String
    init(_ description: String) { self.description = description }
}

/// A list of cores as in `1,3-5`.
public enum CoreList {
    public static func parse(_ text: String) throws(ReplayError) -> [Int] {
        var cores: [Int] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
            guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first >= 0,
                first <= last, last < 4096
            else {
                throw ReplayError(
                    "\"\(part.echoed)\" in \"\(text.echoed)\": expected a core or a range of cores, as in 1,3-5")
            }
            cores += first...last
        }
        return cores
    }
}
