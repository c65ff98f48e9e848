import Base
import Dataplane
import Flow
import FrameSupport
import Memory
import Pipeline
import Ports
import Testing

/// A device whose sender says about each frame what it likes.
private final class HostileReceiver: PortReceiver, @unchecked Sendable {
    var frames: [([UInt8], PacketHeader.Offload)] = []

    override func receiveFrames(
        _ batch: UnsafeMutablePointer<Packet>, limit: Int, pool: inout PacketPool
    ) -> Int {
        var count = 0
        while count < limit, let (bytes, offload) = frames.last, let packet = pool.take(bytes.count) {
            frames.removeLast()
            bytes.withUnsafeBytes { packet.pointee.data.copyMemory(from: $0.baseAddress!, byteCount: bytes.count) }
            packet.pointee.inPort = portIndex
            packet.pointee.timestamp = 0
            packet.pointee.offload = offload
            batch[count] = packet
            count += 1
        }
        counters.count(packets: count, bytes: 0)
        return count
    }
}

/// Frames whose segmentation and checksum make no sense end as counted drops or go out, on ports that leave the work to a
/// device and on those for which it is done here.
@Suite struct OffloadTests {
    private func run(_ frames: [([UInt8], PacketHeader.Offload)], actions: String) throws -> Balance {
        let bench = try Bench()
        let receiver = HostileReceiver()
        receiver.frames = frames
        let port = Port(name: "guest", type: .tap, receivers: [receiver], status: PortStatus(), log: quiet)
        let index = try bench.device.model.addPort(PortRequest("guest"), to: "br0")
        try bench.device.attach(port, to: index)
        try bench.null("device", number: 8)
        // Takes no frame with work left to do.
        try bench.source("file", [])
        try bench.flow("actions=\(actions)")
        bench.drain()
        #expect(receiver.frames.isEmpty)
        #expect(bench.device.buffersInUse == 0)
        let balance = bench.device.balance
        #expect(balance.isEven)
        #expect(balance.received == UInt64(frames.count))
        return balance
    }

    @Test(arguments: ["output:8", "output:2", "flood", "push_vlan:0x8100,output:2,strip_vlan,output:8"])
    func nonsense(actions: String) throws {
        var random = SeededRandom(seed: 5)
        var frames: [([UInt8], PacketHeader.Offload)] = []
        for _ in 0..<4000 {
            var offload = PacketHeader.Offload()
            offload.segmentationType = random.pick([0, 1, 3, 4, 5, 77, 0x80, 0x81, 0x84, 0xff])
            offload.segmentSize = random.pick([0, 1, 30, 536, 1448, 65535])
            offload.headerLength = random.pick([0, 42, 54, 65535])
            offload.needsChecksum = random.below(3) > 0
            offload.checksumStart = random.pick([0, 13, 14, 34, 38, 58, 65535])
            offload.checksumOffset = random.pick([0, 6, 8, 16, 65535])
            let length = [18, 700, 4000][random.below(3)]
            frames.append((Bench.frames(1, length: length)[0], offload))
        }
        let balance = try run(frames, actions: actions)
        if actions == "output:2" {
            #expect(balance.drops[.checksumOffloadImpossible, default: 0] > 0)
            #expect(balance.drops[.frameTooLong, default: 0] > 0, "more segments than fit")
        }
    }

    /// Types that do not exist and segments of no size cannot be cut: counted, one drop each.
    @Test func whatCannotBeCut() throws {
        var frames: [([UInt8], PacketHeader.Offload)] = []
        for type in [3, 77, 0x80, 0xff] as [UInt8] {
            var offload = PacketHeader.Offload()
            offload.segmentationType = type
            offload.segmentSize = 500
            frames.append((Bench.frames(1, length: 2000)[0], offload))
        }
        var offload = PacketHeader.Offload()
        offload.segmentationType = 5
        frames.append((Bench.frames(1, length: 2000)[0], offload))
        let balance = try run(frames, actions: "output:2")
        #expect(balance.drops == [.checksumOffloadImpossible: 5])
        #expect(balance.sent == 0)
    }
}
