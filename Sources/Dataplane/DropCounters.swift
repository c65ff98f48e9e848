import Actions
import Base
import CLinux
import Memory

/// What a worker dropped, by the port that the frame came in through and by reason: a row of counters for each port. The
/// worker writes, any thread reads, word by word.
///
/// Row 0 has what belongs to no port: frames of `packet-out` that name none, and what was dropped of ports that are gone.
///
/// The rows of all ports that there can be are 8 MiB of address space; a page of them, eight rows, becomes resident when one
/// of its ports drops its first frame.
public final class DropCounters: @unchecked Sendable {
    private let memory: LineMemory
    private let rows: UnsafeMutablePointer<UInt64>

    static var rowCount: Int { OutputBatches.maximumPorts }

    init() {
        memory = LineMemory(byteCount: Self.rowCount * DropReason.count * 8, isSparse: true)
        rows = memory.start.bindMemory(to: UInt64.self, capacity: Self.rowCount * DropReason.count)
    }

    /// One counter for each `DropReason`.
    @inline(__always)
    func row(_ port: PortIndex) -> UnsafeMutablePointer<UInt64> {
        let number = Int(port.rawValue)
        return rows + (number < Self.rowCount ? number : 0) &* DropReason.count
    }

    /// Worker only.
    @inline(__always)
    func add(_ reason: DropReason, _ frames: Int, port: PortIndex) {
        let at = row(port) + Int(reason.rawValue)
        weft_atomic_store(at, weft_atomic_load(at) &+ UInt64(truncatingIfNeeded: frames))
    }

    /// Worker only: the ports are gone, and their rows may become those of others.
    func retire(_ ports: [PortIndex]) {
        for port in ports where port != .none {
            for reason in DropReason.allCases {
                let at = row(port) + Int(reason.rawValue)
                let frames = weft_atomic_load(at)
                guard frames > 0 else { continue }
                add(reason, Int(truncatingIfNeeded: frames), port: .none)
                weft_atomic_store(at, 0)
            }
        }
    }

    /// Adds the drops of one port to `sum`.
    public func collect(_ port: PortIndex, into sum: inout [DropReason: UInt64]) {
        let row = row(port)
        for reason in DropReason.allCases {
            let frames = weft_atomic_load(row + Int(reason.rawValue))
            if frames > 0 { sum[reason, default: 0] &+= frames }
        }
    }
}
