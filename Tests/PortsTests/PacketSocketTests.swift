import Base
import CLinux
import Memory
import Ports
import Testing

@Suite(.serialized, .enabled(if: Namespace.allowed, Namespace.refusal))
struct PacketSocketTests {
    let home: Namespace
    let far: Namespace

    init() throws {
        home = try Namespace()
        far = try Namespace()
        try home.veth("near0", "far0", in: far)
    }

    @Test func framesCrossAndAreCounted() throws {
        let port = try home.open("p1", "afpacket", ["dev": "near0"])
        let peer = try far.open("far0", "afpacket")
        #expect(port.status.linkUp)
        #expect(port.status.mtu == 1500)
        var bench = Bench()
        let frames = (0..<20).map { udp(1, 2, UInt16($0), 53) } + [frame(1514), frame(60)]
        bench.transmit(frames, try far.transmitter(peer))
        #expect(bench.receive(port.receivers[0]) == frames)
        #expect(port.received.packets == 22)
        #expect(port.received.bytes == peer.transmitted.bytes)
        #expect(peer.received.packets == 0, "outgoing frames are not seen again")
        #expect(port.receivers[0].pollDescriptor != nil)
        #expect(bench.pool.inUse == 0)
    }

    @Test func ringWrapsAndAFullRingIsCounted() throws {
        let port = try home.open("near0", "afpacket", ["ring": "64"])
        let peer = try far.open("far0", "afpacket")
        let transmitter = try far.transmitter(peer)
        var bench = Bench()
        for round in 0..<20 {
            let frames = (0..<32).map { udp(1, 2, UInt16($0), UInt16(round)) }
            bench.transmit(frames, transmitter)
            #expect(bench.receive(port.receivers[0]) == frames)
        }
        let before = port.received
        #expect(before.dropped == 0)
        for _ in 0..<10 { bench.transmit((0..<32).map { udp(1, 2, UInt16($0), 7) }, transmitter) }
        var got = 0
        while true {
            let count = bench.receive(port.receivers[0]).count
            if count == 0 { break }
            got += count
        }
        let after = port.received
        #expect(got < 320)
        #expect(after.packets + after.dropped == before.packets + 320)
        #expect(after.drops == [.noBuffer: UInt64(320 - got)])
    }

    @Test func tcpWithDefaultOffloadsArrivesIntact() throws {
        let other = try Namespace()
        try home.veth("near1", "far1", in: other)
        try far.command("ip", "addr", "add", "10.77.0.1/24", "dev", "far0")
        try other.command("ip", "addr", "add", "10.77.0.2/24", "dev", "far1")
        let a = try home.open("near0", "afpacket")
        let b = try home.open("near1", "afpacket")
        let stream = try Stream(from: far, to: other, address: 0x0a4d_0002, bytes: 6 << 20)
        #expect(try stream.run(a, b, in: home))
        #expect(stream.longestFrame > 1514, "segmentation super-frames pass in one piece")
        #expect(stream.sawPartialChecksum)
        #expect(b.transmitted.drops == [:])
    }

    @Test func strippedTagComesBack() throws {
        let port = try home.open("near0", "afpacket")
        let peer = try far.open("far0", "afpacket")
        var bench = Bench()
        var tagged = Array(udp(1, 2, 3, 4)[..<12]) + [0x81, 0, 0x60, 5] + Array(udp(1, 2, 3, 4)[12...])
        let transmitter = try far.transmitter(peer)
        bench.transmit([tagged], transmitter)
        #expect(bench.receive(port.receivers[0]) == [tagged])
        (tagged[12], tagged[13]) = (0x88, 0xa8)
        bench.transmit([tagged], transmitter)
        #expect(bench.receive(port.receivers[0]) == [tagged])
    }

    @Test func tagAndPartialChecksumTogether() throws {
        let port = try home.open("near0", "afpacket")
        let peer = try far.open("far0", "afpacket")
        let transmitter = try far.transmitter(peer)
        let tagged = Array(udp(1, 2, 3, 4)[..<12]) + [0x81, 0, 0, 5] + Array(udp(1, 2, 3, 4)[12...])
        var bench = Bench()
        bench.transmit([tagged], transmitter) { packet in
            packet.pointee.offload.needsChecksum = true
            packet.pointee.offload.checksumStart = 18 + 20
            packet.pointee.offload.checksumOffset = 6
        }
        let count = port.receivers[0].receive(bench.batch, limit: 32, pool: &bench.pool)
        defer { bench.free(count) }
        try #require(count == 1)
        let packet = bench.batch[0]
        #expect(bench.bytes(packet) == tagged)
        #expect(packet.pointee.offload.needsChecksum)
        #expect(packet.pointee.offload.checksumStart == 18 + 20)
        #expect(packet.pointee.offload.checksumOffset == 6)
    }

    /// What the kernel refuses is counted, and does not keep the frames behind it.
    @Test func hostileOffloadsAreSentOrCounted() throws {
        let port = try home.open("near0", "afpacket")
        let peer = try far.open("far0", "afpacket")
        let transmitter = try far.transmitter(peer)
        var bench = Bench()
        let offloads = hostileOffloads()
        for offload in offloads {
            for length in [60, 1000, 4000] {
                bench.transmit([VirtioHeaderTests.tcp(length)], transmitter) { $0.pointee.offload = offload }
                while !bench.receive(port.receivers[0]).isEmpty {}
            }
        }
        let counts = peer.transmitted
        #expect(counts.packets + counts.dropped == UInt64(3 * offloads.count))
        #expect(counts.packets > 0 && counts.dropped > 0)
        bench.transmit([frame(60)], transmitter)
        #expect(bench.receive(port.receivers[0]) == [frame(60)])
        #expect(bench.pool.inUse == 0)
    }

    @Test func queuesShareTheFlows() throws {
        let port = try home.open("near0", "afpacket", ["queues": "2"])
        let peer = try far.open("far0", "afpacket")
        let transmitter = try far.transmitter(peer)
        var bench = Bench()
        for flow in 0..<64 {
            bench.transmit(Array(repeating: udp(1, 2, UInt16(1000 + flow), 53), count: 2), transmitter)
        }
        var flows: [Set<[UInt8]>] = [[], []]
        var total = 0
        for (index, receiver) in port.receivers.enumerated() {
            while true {
                let frames = bench.receive(receiver)
                if frames.isEmpty { break }
                total += frames.count
                flows[index].formUnion(frames)
            }
        }
        #expect(total == 128)
        #expect(flows[0].isDisjoint(with: flows[1]))
        #expect(!flows[0].isEmpty && !flows[1].isEmpty)
    }

    @Test func deviceVanishesAndComesBack() throws {
        let events = try DeviceEvents(in: home)
        let port = try home.open("near0", "afpacket", ["queues": "2"])
        let transmitter = try home.transmitter(port)
        var bench = Bench()
        let device = try #require(port.watchedDevice)
        try home.command("ip", "link", "del", "near0")
        events.wait { $0.concern(device) }
        try home.refresh(port)
        #expect(!port.status.linkUp && !port.status.present)
        #expect(port.status.error?.contains("near0") == true)
        #expect(bench.receive(port.receivers[0]).isEmpty)
        #expect(port.receivers[0].pollDescriptor == nil)
        bench.transmit([frame(60)], transmitter)
        #expect(port.transmitted.drops == [.portDown: 1])
        try home.veth("near0", "far0", in: far)
        events.wait { $0.names.contains("near0") }
        try home.refresh(port)
        #expect(port.status.linkUp)
        #expect(port.status.error == nil)
        for receiver in port.receivers { #expect(bench.receive(receiver).isEmpty) }
        let peer = try far.open("far0", "afpacket")
        bench.transmit([udp(1, 2, 3, 4)], try far.transmitter(peer))
        #expect(port.receivers.flatMap { bench.receive($0) } == [udp(1, 2, 3, 4)])
        bench.transmit([frame(61)], transmitter)
        #expect(bench.receive(peer.receivers[0]) == [frame(61)])
        port.close()
        #expect(port.receivers[0].pollDescriptor == nil)
    }

    @Test func aDeviceUnderTheIndexOfAnotherIsNoticed() throws {
        let port = try home.open("near0", "afpacket")
        let index = try #require(port.watchedDevice?.index)
        try home.command("ip", "link", "del", "near0")
        try home.command(
            "ip", "link", "add", "near0", "index", "\(index)", "type", "veth", "peer", "name", "far0", "netns", far.path
        )
        for (space, device) in [(home, "near0"), (far, "far0")] {
            try space.command("ip", "link", "set", device, "addrgenmode", "none")
            try space.command("ip", "link", "set", device, "up")
        }
        try home.refresh(port)
        #expect(port.status.linkUp)
        #expect(port.watchedDevice?.index == index)
        var bench = Bench()
        _ = bench.receive(port.receivers[0])
        let peer = try far.open("far0", "afpacket")
        bench.transmit([frame(60)], try far.transmitter(peer))
        #expect(bench.receive(port.receivers[0]) == [frame(60)])
    }

    /// Each kind of change is told, also when a device takes another name.
    @Test func theKernelTellsOfChanges() throws {
        let port = try home.open("near0", "afpacket")
        let device = try #require(port.watchedDevice)
        let events = try DeviceEvents(in: home)
        for change in [["mtu", "1400"], ["down"], ["up"]] {
            try home.run(["ip", "link", "set", "near0"] + change)
            events.wait { $0.concern(device) }
        }
        try home.refresh(port)
        #expect(port.status.mtu == 1400)
        try far.command("ip", "link", "set", "far0", "down")
        events.wait { $0.concern(device) }
        try home.command("ip", "link", "set", "near0", "down")
        events.wait { $0.concern(device) }
        try home.command("ip", "link", "set", "near0", "name", "other0")
        events.wait { $0.indices.contains(device.index) && $0.names.contains("other0") }
        try home.refresh(port)
        #expect(!port.status.present)
        #expect(port.watchedDevice == WatchedDevice(name: "near0", index: 0))
    }

    @Test func followsLinkAndMTU() throws {
        let port = try home.open("near0", "afpacket")
        let transmitter = try home.transmitter(port)
        var bench = Bench()
        try port.setMTU(1400)
        #expect(port.status.mtu == 1400)
        bench.transmit([frame(1414), frame(1415)], transmitter)
        #expect(port.transmitted.packets == 1)
        #expect(port.transmitted.drops == [.exceedsMTU: 1])
        try far.command("ip", "link", "set", "far0", "down")
        try home.refresh(port)
        #expect(port.status.adminUp && !port.status.carrier)
        try far.command("ip", "link", "set", "far0", "up")
        try home.refresh(port)
        #expect(port.status.linkUp)
        try port.setAdmin(up: false)
        #expect(!port.status.adminUp)
        bench.transmit([frame(60)], transmitter)
        #expect(port.transmitted.drops == [.exceedsMTU: 1, .portDown: 1])
        try port.setAdmin(up: true)
        #expect(port.status.linkUp)
    }

    @Test func aMissingDeviceIsNamedOrWaitedFor() throws {
        let error = #expect(throws: PortError.self) { try home.open("p1", "afpacket", ["dev": "nosuch0"]) }
        #expect(error?.kind == .noSuchDevice("nosuch0"))
        var options = try PortOptions(port: "p1", type: .afpacket, options: ["dev": "late0"])
        options.waitsForDevice = true
        let waiting = options
        let port = try home.run { try Port.open(name: "p1", options: waiting, log: quiet) }
        #expect(port.status.error != nil)
        try home.veth("late0", "late1", in: far)
        try home.refresh(port)
        #expect(port.status.linkUp)
        var bench = Bench()
        _ = bench.receive(port.receivers[0])
        let peer = try far.open("late1", "afpacket")
        bench.transmit([frame(60)], try far.transmitter(peer))
        #expect(bench.receive(port.receivers[0]) == [frame(60)])
    }
}
