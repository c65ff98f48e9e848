import Base
import Flow
import Logging
import Memory
import Pipeline
import Ports

/// A port of the pipeline with what stands behind it.
public final class AttachedPort {
    public let index: PortIndex
    public let port: Port
    /// Worker of each receive queue.
    public internal(set) var placement: [Int] = []
    /// What the user wrote, for `show` and `config/save`.
    public let options: [String: String]
    /// How often its device was looked at because something changed, since all devices were looked at last.
    var looks = 0

    init(index: PortIndex, port: Port, options: [String: String]) {
        self.index = index
        self.port = port
        self.options = options
    }
}

extension Switch {
    /// Puts an opened port behind the pipeline port `index`: transmit queues on every worker first, then its receive queues,
    /// so that the first frame received finds the way out of every other port.
    public func attach(_ port: Port, to index: PortIndex, options: [String: String] = [:]) throws(SwitchError) {
        var transmitters: [PortTransmitter] = []
        for worker in workers {
            do throws(PortError) { try transmitters.append(port.makeTransmitter(worker: worker.number)) } catch {
                for transmitter in transmitters { port.retire(transmitter) }
                throw SwitchError("\(error)")
            }
        }
        let attached = AttachedPort(index: index, port: port, options: options)
        for _ in port.receivers { attached.placement.append(leastLoadedWorker(and: attached.placement)) }
        let made = transmitters
        let placement = attached.placement
        let offloads = port.type.bringsOffloads
        onEveryWorker { worker in
            worker.setTransmitter(made[worker.number], for: index)
            if offloads { worker.seesOffloads = true }
        }
        onEveryWorker { worker in
            for (queue, receiver) in port.receivers.enumerated() where placement[queue] == worker.number {
                worker.attach(receiver, to: index)
            }
        }
        ports[index] = attached
        followLink(attached)
    }

    /// Takes what stands behind a port away and closes it.
    public func detach(_ index: PortIndex) {
        guard let attached = ports.removeValue(forKey: index) else { return }
        let port = attached.port
        onEveryWorker { worker in worker.detach(port.receivers) }
        onEveryWorker { worker in
            if let transmitter = worker.transmitterOwners[index.rawValue] { port.retire(transmitter) }
            worker.setTransmitter(nil, for: index)
        }
        detached.add(port)
        port.close()
    }

    /// The worker with the fewest receive queues, those of `pending` counted in.
    private func leastLoadedWorker(and pending: [Int]) -> Int {
        var load = Array(repeating: 0, count: workers.count)
        for worker in ports.values.flatMap(\.placement) + pending { load[worker] += 1 }
        return load.indices.min { load[$0] < load[$1] } ?? 0
    }
}

extension PortType {
    /// Whether frames may come with checksum or segmentation left to the receiver.
    var bringsOffloads: Bool {
        switch self {
        case .afpacket, .tap, .internal, .iouring, .afxdp, .vhostUser: true
        case .pcap, .null: false
        }
    }
}

// For replays: files instead of what a port has behind it.
extension Switch {
    /// Frames of `source` come in as if through the port, beside what it receives itself.
    public func feed(_ index: PortIndex, from source: Port) {
        var placement: [Int] = []
        for _ in source.receivers { placement.append(leastLoadedWorker(and: placement)) }
        let chosen = placement
        onEveryWorker { worker in
            for (queue, receiver) in source.receivers.enumerated() where chosen[queue] == worker.number {
                worker.attach(receiver, to: index)
            }
        }
        sources.append(source)
    }

    /// What is sent to the port goes to `sink` instead.
    public func divert(_ index: PortIndex, to sink: Port) throws(SwitchError) {
        var transmitters: [PortTransmitter] = []
        for worker in workers {
            do throws(PortError) { try transmitters.append(sink.makeTransmitter(worker: worker.number)) } catch {
                throw SwitchError("\(error)")
            }
        }
        let made = transmitters
        onEveryWorker { worker in worker.setTransmitter(made[worker.number], for: index) }
        sinks.append(sink)
    }

    /// Frames received by all ports and sources.
    public var receivedStatistics: PortStatistics {
        var sum = PortStatistics()
        for port in ports.values.map(\.port) + sources { sum += port.received }
        return sum
    }

    public var receivedFrames: UInt64 { receivedStatistics.packets }

    /// Frames that the workers are through with: all that they caused has been handed to the ports.
    public var processedFrames: UInt64 { workers.reduce(0) { $0 &+ $1.counters[.packets] } }

    /// Nothing will ever be received again: all are files that have been played.
    public var allReceiversFinished: Bool {
        (ports.values.map(\.port) + sources).allSatisfy { $0.receivers.allSatisfy(\.isFinished) }
    }
}
