import Base
import Flow
import Memory
import Pipeline
import Synchronization

extension Switch {
    /// Runs each frame through the datapath as if received on a port, one after the other; what it causes, `learn`ed rules
    /// included, is done on return.
    public func inject(_ frames: [[UInt8]], port: PortIndex) throws(SwitchError) {
        guard let attached = model.state.port(port) else { throw SwitchError("no such port") }
        if case .patch = attached.kind {
            throw SwitchError("\(attached.name) is a patch port: frames enter a bridge through ports with a device")
        }
        for frame in frames where frame.count > 65535 {
            throw SwitchError("frame of \(frame.count) bytes: expected 65535 at the most")
        }
        let number = ports[port]?.placement.first ?? 0
        let worker = workers[number]
        for frame in frames {
            onWorker(worker) { worker.inject(frame, port: port) }
            drainRequests()
        }
    }

    /// What `trace` of a real frame does beside telling: connection tracking sees the frame, as with `ofproto/trace`.
    public func rehearse(_ frame: [UInt8], _ programs: [[UInt64]], port: PortIndex) {
        let worker = workers[ports[port]?.placement.first ?? 0]
        onWorker(worker) { for program in programs { worker.rehearse(frame, program, port: port) } }
    }

    /// Workers that are not started: a round of each on the caller's thread, one burst from every queue. Frames received.
    public func poll() -> Int {
        guard !isRunning else { return 0 }
        return workers.reduce(0) { $0 + $1.roundByHand() }
    }

    /// Buffers that hold a frame, over all workers; between two rounds of a worker none does.
    public var buffersInUse: Int {
        let sum = Atomic<Int>(0)
        onEveryWorker { worker in _ = sum.wrappingAdd(worker.buffersInUse, ordering: .relaxed) }
        return sum.load(ordering: .acquiring)
    }

    /// Sends a frame by command, as OpenFlow's packet-out: `actions` decide what becomes of it.
    public func packetOut(_ frame: [UInt8], actions: [Action], bridge name: String, inPort: PortNumber)
        throws(SwitchError)
    {
        guard let bridge = model.state.bridge(named: name) else { throw SwitchError("no bridge named \(name.echoed)") }
        guard frame.count <= 65535 else {
            throw SwitchError("frame of \(frame.count) bytes: expected 65535 at the most")
        }
        let code = ActionCode(actions)
        let number = bridge.number
        let port = bridge.ports[inPort] ?? .none
        let worker = workers[0]
        onWorker(worker) { worker.packetOut(frame, code, bridge: number, inPort: inPort, port: port) }
        drainRequests()
    }

    /// Runs `body` on one worker, between two bursts, and waits for it.
    func onWorker(_ worker: Worker, _ body: @escaping @Sendable () -> Void) {
        let chosen = worker.number
        onEveryWorker { worker in if worker.number == chosen { body() } }
    }
}
