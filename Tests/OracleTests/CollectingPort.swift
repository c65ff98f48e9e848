import Base
import Logging
import Memory
import Ports

private func wideStatus() -> PortStatus {
    var status = PortStatus()
    status.mtu = 65521
    return status
}

private let silent = Logger(label: "oracle") { _ in SwiftLogNoOpLogHandler() }

/// A port that keeps what is sent to it.
final class CollectingPort: Ports.Port, @unchecked Sendable {
    private let transmitter = Collector(maximumFrame: 65535)

    init(name: String) { super.init(name: name, type: .null, receivers: [], status: wideStatus(), log: silent) }

    override func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter { transmitter }

    /// Frames sent since the last call.
    func take() -> [[UInt8]] {
        defer { transmitter.frames.removeAll(keepingCapacity: true) }
        return transmitter.frames
    }
}

/// A port whose queued frames are received, a burst a round.
final class FeedingPort: Ports.Port, @unchecked Sendable {
    private let queue = FrameQueue()

    init(name: String) { super.init(name: name, type: .null, receivers: [queue], status: wideStatus(), log: silent) }

    func enqueue(_ frame: [UInt8]) { queue.frames.append(frame) }
}

private final class Collector: PortTransmitter, @unchecked Sendable {
    var frames: [[UInt8]] = []

    override func transmitFrames(_ packets: UnsafePointer<Packet>, _ count: Int) {
        var total: UInt64 = 0
        for i in 0..<count {
            let packet = packets[i]
            frames.append(
                Array(UnsafeRawBufferPointer(start: packet.pointee.data, count: Int(packet.pointee.length))))
            total += UInt64(packet.pointee.length)
        }
        counters.count(packets: count, bytes: total)
    }
}

private final class FrameQueue: PortReceiver, @unchecked Sendable {
    var frames: [[UInt8]] = []

    override func receiveFrames(_ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool) -> Int {
        var count = 0
        for frame in frames.prefix(limit) {
            guard let packet = pool.take(frame.count) else { break }
            frame.withUnsafeBytes { bytes in
                if let start = bytes.baseAddress { packet.pointee.data.copyMemory(from: start, byteCount: bytes.count) }
            }
            packet.pointee.inPort = portIndex
            packet.pointee.timestamp = 0
            batch[count] = packet
            count += 1
            counters.count(packets: 1, bytes: UInt64(frame.count))
        }
        frames.removeFirst(count)
        return count
    }
}
