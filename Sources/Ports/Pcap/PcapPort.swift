import Base
import Logging

/// Frames from a capture file, frames into a capture file. Needs no rights and no device: benchmarks and tests.
public final class PcapPort: Port, @unchecked Sendable {
    private let writer: PcapWriter?
    /// Frames of the file, over all queues.
    public let frameCount: Int

    /// Reads the whole of `rx=`; creates `tx=`. A damaged `rx=` file is used up to the damage, which the status tells.
    public init(name: String, options: PortOptions, log: Logger) throws(PortError) {
        var status = PortStatus()
        status.mtu = options.mtu ?? 1500
        status.hardwareAddress = options.hardwareAddress ?? 0
        var receivers: [PortReceiver] = []
        if let path = options.receiveFile {
            let frames = try PcapFrames(
                port: name, path: path, queues: options.queues, waits: options.readsPipes)
            let rate = options.rate / UInt64(options.queues)
            for queue in 0..<options.queues {
                let queueRate = options.rate == 0 ? 0 : max(1, rate)
                let receiver = PcapReceiver(frames: frames, queue: queue, loop: options.loop, rate: queueRate)
                // Queue 0 takes what does not divide evenly.
                if let limit = options.frameLimit {
                    let share = limit / UInt64(options.queues)
                    let rest = queue == 0 ? limit % UInt64(options.queues) : 0
                    receiver.remaining = Int(clamping: share + rest)
                }
                receivers.append(receiver)
            }
            receivers[0].counters.drop(.frameTooLong, frames.tooLong)
            frameCount = frames.frameCount
            if let problem = frames.problem {
                status.error = problem
                log.warning("\(problem)", metadata: ["port": "\(name)"])
            }
        } else {
            frameCount = 0
            receivers.append(NullReceiver())
        }
        if let path = options.transmitFile {
            writer = try PcapWriter(port: name, path: path)
        } else {
            writer = nil
        }
        super.init(name: name, type: .pcap, receivers: receivers, status: status, log: log)
    }

    override public func openTransmitter(worker: Int) throws(PortError) -> PortTransmitter {
        PcapTransmitter(writer: writer, maximumFrame: frameLimit(status))
    }
}
