import Base
import CLinux
import Memory
import Ports
import Testing

@Suite(.serialized, .enabled(if: Namespace.allowed, Namespace.refusal))
struct TapTests {
    let home: Namespace

    init() throws { home = try Namespace() }

    /// The kernel's own multicast chatter left out.
    private func ours(_ frames: [[UInt8]]) -> [[UInt8]] { frames.filter { $0[0] == 2 } }

    @Test func framesCrossBothWays() throws {
        let port = try home.open("tap7", "tap", ["mac": "02:00:00:00:07:07", "mtu": "1400"])
        #expect(port.status.linkUp)
        #expect(port.status.hardwareAddress == 0x0200_0000_0707)
        #expect(port.status.mtu == 1400)
        let host = try home.open("h", "afpacket", ["dev": "tap7"])
        var bench = Bench()
        let frames = [udp(1, 2, 3, 4), frame(60), frame(1414)]
        bench.transmit(frames, try home.transmitter(port))
        #expect(ours(bench.receive(host.receivers[0])) == frames)
        bench.transmit(frames, try home.transmitter(host))
        #expect(ours(bench.receive(port.receivers[0])) == frames)
        #expect(bench.receive(port.receivers[0]).isEmpty)
        bench.transmit([frame(1415)], try home.transmitter(port, worker: 1))
        #expect(port.transmitted.drops == [.exceedsMTU: 1])
        #expect(bench.pool.inUse == 0)
    }

    @Test func anEmptyPoolDropsButDoesNotBlock() throws {
        let port = try home.open("tap8", "tap")
        let host = try home.open("h", "afpacket", ["dev": "tap8"])
        var sender = Bench()
        var bench = Bench(small: 1, large: 0)
        _ = bench.receive(port.receivers[0])
        let before = port.received
        sender.transmit((0..<4).map { frame(60 + $0) }, try home.transmitter(host))
        _ = bench.receive(port.receivers[0])
        let after = port.received
        #expect(after.packets + after.dropped >= before.packets + 4)
        #expect((after.drops[.noBuffer] ?? 0) >= 3)
        #expect(bench.receive(port.receivers[0]).isEmpty)
    }

    @Test func tcpFromTheHostArrivesIntact() throws {
        let far = try Namespace()
        try home.veth("near0", "far0", in: far)
        try far.command("ip", "addr", "add", "10.79.0.1/24", "dev", "far0")
        let cable = try home.open("near0", "afpacket")
        let host = try home.open("br9", "internal")
        try home.command("ip", "addr", "add", "10.79.0.2/24", "dev", "br9")
        let up = try Stream(from: far, to: home, address: 0x0a4f_0002, bytes: 4 << 20)
        #expect(try up.run(cable, host, in: home))
        // Longer than the MTU allows: how long TCP makes them depends on how fast it is served.
        #expect(up.longestFrame > 1514)
        let down = try Stream(from: home, to: far, address: 0x0a4f_0001, bytes: 4 << 20)
        #expect(try down.run(cable, host, in: home))
        #expect(down.longestFrame > 1514)
        #expect(down.sawPartialChecksum)
    }

    @Test func aMovedDeviceWorksOn() throws {
        let far = try Namespace()
        let port = try home.open("tap6", "tap")
        try home.command("ip", "link", "set", "tap6", "netns", far.path)
        try far.command("ip", "link", "set", "tap6", "up")
        try home.refresh(port)
        #expect(port.status.present)
        let host = try far.open("h", "afpacket", ["dev": "tap6"])
        var bench = Bench()
        bench.transmit([frame(60)], try home.transmitter(port))
        #expect(ours(bench.receive(host.receivers[0])) == [frame(60)])
        #expect(throws: PortError.self) { try home.open("h2", "afpacket", ["dev": "tap6"]) }
    }

    @Test func hostileOffloadsAreSentOrCounted() throws {
        let port = try home.open("tap8", "tap")
        let transmitter = try home.transmitter(port)
        var bench = Bench()
        let offloads = hostileOffloads()
        for offload in offloads {
            for length in [60, 1000, 4000] {
                bench.transmit([VirtioHeaderTests.tcp(length)], transmitter) { $0.pointee.offload = offload }
            }
        }
        let counts = port.transmitted
        #expect(counts.packets + counts.dropped == UInt64(3 * offloads.count))
        #expect(counts.packets > 0 && counts.dropped > 0)
        let host = try home.open("h", "afpacket", ["dev": "tap8"])
        bench.transmit([frame(60)], transmitter)
        #expect(ours(bench.receive(host.receivers[0])).contains(frame(60)))
        #expect(bench.pool.inUse == 0)
    }

    @Test func aDeletedDeviceIsMadeAgain() throws {
        let port = try home.open("tap9", "tap", ["queues": "2"])
        let transmitter = try home.transmitter(port, worker: 1)
        var bench = Bench()
        try home.command("ip", "link", "del", "tap9")
        bench.transmit([frame(60)], transmitter)
        #expect(port.transmitted.drops == [.portDown: 1])
        for receiver in port.receivers { #expect(bench.receive(receiver).isEmpty) }
        try home.refresh(port)
        #expect(port.status.linkUp)
        let host = try home.open("h", "afpacket", ["dev": "tap9"])
        bench.transmit([frame(60)], transmitter)
        #expect(ours(bench.receive(host.receivers[0])) == [frame(60)])
        #expect(port.transmitted.packets == 1)
        port.close()
        #expect(throws: PortError.self) { try home.open("h2", "afpacket", ["dev": "tap9"]) }
    }
}
