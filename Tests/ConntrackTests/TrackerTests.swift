import Base
import Conntrack
import FrameSupport
import Memory
import Synchronization
import Testing

/// What packets are found to be, and what is remembered of them.
@Suite struct TrackerTests {
    @Test func udpIsNewUntilItIsAnswered() {
        let bench = TrackerBench()
        #expect(bench.send(udpFrame(), zone: 5) == "new|trk")
        #expect(bench.send(udpFrame(), zone: 5) == "new|trk")
        #expect(bench.send(udpFrame(bob, alice, 53, 1000), zone: 5) == "est|rpl|trk")
        #expect(bench.send(udpFrame(), zone: 5) == "est|trk")
        #expect(
            bench.dump() == [
                "udp,orig=(src=10.1.0.10,dst=10.2.0.1,sport=1000,dport=53),"
                    + "reply=(src=10.2.0.1,dst=10.1.0.10,sport=53,dport=1000),zone=5"
            ])
        #expect(bench.send(udpFrame(), zone: 6, commits: false) == "new|trk")
        #expect(bench.tracker.count == 1)
    }

    @Test func aPacketCarriesWhatWasFoundOut() {
        let bench = TrackerBench()
        var request = TrackRequest()
        request.zone = 9
        request.commits = true
        request.mark = 0x77
        request.markMask = 0xff
        request.label = 5 << 64 | 6
        request.labelMask = ~0
        let first = bench.outcome(udpFrame(), request)
        #expect(first.text == "new|trk" && first.zone == 9 && first.mark == 0x77 && first.label == 5 << 64 | 6)
        #expect(first.ipProtocol == 17)
        let ports: UInt64 = 1000 << 48 | 53 << 32
        #expect(first.tuple == [UInt64(alice) << 32 | UInt64(bob), ports, 0, 0, 0, 0])
        var look = TrackRequest()
        look.zone = 9
        let reply = bench.outcome(udpFrame(bob, alice, 53, 1000), look)
        #expect(reply.mark == 0x77 && reply.label == 5 << 64 | 6 && reply.text == "est|rpl|trk")
        #expect(reply.tuple == first.tuple, "the tuple is that of the direction that began")
        request.mark = 0x100
        request.markMask = 0x100
        request.labelMask = 0
        #expect(bench.outcome(udpFrame(), request).mark == 0x177)
        #expect(bench.dump()[0].hasSuffix(",zone=9,mark=375,labels=0x50000000000000006"))
    }

    @Test func queriesAreTrackedByIdentifier() {
        let bench = TrackerBench()
        #expect(bench.send(pingFrame(alice, bob, type: 0, id: 3)) == "inv|trk", "an answer begins nothing")
        #expect(bench.send(pingFrame(alice, bob, type: 8, id: 3)) == "new|trk")
        #expect(bench.send(pingFrame(alice, bob, type: 8, id: 3)) == "new|trk")
        #expect(bench.send(pingFrame(bob, alice, type: 0, id: 4), commits: false) == "inv|trk")
        #expect(bench.send(pingFrame(bob, alice, type: 0, id: 3)) == "est|rpl|trk")
        #expect(bench.send(pingFrame(alice, bob, type: 8, id: 3)) == "est|trk")
        #expect(bench.send(pingFrame(bob, alice, type: 8, id: 3)) == "new|trk", "the other way is another connection")
        #expect(bench.send(pingFrame(alice, bob, type: 13, id: 3)) == "new|trk", "so is another kind of query")
        #expect(
            bench.dump()[0] == "icmp,orig=(src=10.1.0.10,dst=10.2.0.1,id=3,type=13,code=0),"
                + "reply=(src=10.2.0.1,dst=10.1.0.10,id=3,type=14,code=0)")
        #expect(bench.send(pingFrame(alice, bob, type: 10, id: 3)) == "inv|trk")
    }

    @Test func errorsBelongToTheirConnection() {
        let bench = TrackerBench()
        bench.send(udpFrame())
        let quoted = ipv4(alice, bob, ipProtocol: 17, udp(.v4(alice, bob), 1000, 53))
        let router: UInt32 = 0x0a09_0909
        func error(_ quoted: [UInt8], to: UInt32 = alice) -> [UInt8] {
            let message = icmp(type: 3, code: 3, [0, 0, 0, 0] + quoted)
            return ethernet(type: 0x800, ipv4(router, to, ipProtocol: 1, message))
        }
        #expect(bench.send(error(quoted)) == "rel|rpl|trk")
        #expect(bench.send(error(quoted, to: bob)) == "inv|trk", "the error goes to whom it does not concern")
        let unknown = ipv4(alice, bob, ipProtocol: 17, udp(.v4(alice, bob), 1001, 53))
        #expect(bench.send(error(unknown)) == "inv|trk")
        #expect(bench.tracker.count == 1)
        #expect(bench.tracker.total(.unknownError) == 1, "the other is malformed")
        #expect(bench.tracker.total(.invalid) == 2)
    }

    /// Who sends as the address that clients speak to begins no connection whose answers would be those clients' packets.
    @Test func aTranslatedConnectionIsNotTakenOver() {
        let bench = TrackerBench()
        let backend: UInt32 = 0x0a03_0001
        var balance = TrackRequest()
        balance.commits = true
        balance.translates = true
        balance.kind = .destination
        balance.hasAddresses = true
        balance.firstAddress = UInt128(backend)
        balance.lastAddress = UInt128(backend)
        #expect(bench.outcome(udpFrame(), balance).text == "new|trk|dnat")
        var commit = TrackRequest()
        commit.commits = true
        #expect(bench.outcome(udpFrame(bob, alice, 53, 1000), commit).text == "new|trk")
        #expect(bench.tracker.count == 1)
        #expect(bench.tracker.total(.clash) == 1)
        #expect(bench.tracker.natCounters.translated.load(ordering: .relaxed) == 1)
        #expect(bench.send(udpFrame(backend, alice, 53, 1000)) == "est|rpl|trk")
        #expect(bench.outcome(udpFrame(), balance).text == "est|trk|dnat")
    }

    @Test func otherProtocolsHaveNoPorts() {
        let bench = TrackerBench()
        let sctp = ethernet(type: 0x800, ipv4(alice, bob, ipProtocol: 132, [UInt8](repeating: 1, count: 12)))
        #expect(bench.send(sctp) == "new|trk")
        #expect(
            bench.dump() == [
                "sctp,orig=(src=10.1.0.10,dst=10.2.0.1,sport=0,dport=0),"
                    + "reply=(src=10.2.0.1,dst=10.1.0.10,sport=0,dport=0)"
            ])
    }

    @Test func whatCannotBeReadIsInvalid() {
        let bench = TrackerBench()
        func spoiled(_ frame: [UInt8], _ at: Int, _ value: UInt8) -> [UInt8] {
            var frame = frame
            frame[at] = value
            return frame
        }
        let frame = udpFrame()
        #expect(bench.send(spoiled(frame, 14 + 8, 63)) == "inv|trk", "checksum of the network header")
        #expect(bench.send(spoiled(frame, 14 + 28, 9)) == "inv|trk", "checksum of the datagram")
        #expect(bench.send(udpFrame(alice, bob, 0, 53)) == "inv|trk", "port 0")
        let unsummed = ethernet(
            type: 0x800, ipv4(alice, bob, ipProtocol: 17, udp(.v4(alice, bob), 7, 8, hasChecksum: false)))
        #expect(bench.send(unsummed) == "new|trk")
        let fragment = ethernet(
            type: 0x800, ipv4(alice, bob, ipProtocol: 17, fragment: 0x2000, udp(.v4(alice, bob), 7, 8)))
        #expect(bench.send(fragment) == "inv|trk")
        #expect(bench.send(ethernet(type: 0x806, arp(operation: 1, spa: alice, tpa: bob))) == "inv|trk")
        for cut in 0..<frame.count where cut >= 14 {
            #expect(bench.send(Array(frame[..<cut]), commits: false) == "inv|trk", "\(cut)")
        }
        #expect(bench.tracker.total(.badNetworkChecksum) == 1)
        #expect(bench.tracker.total(.badTransportChecksum) == 1)
    }

    @Test func checksumsLeftToTheDeviceAreTrusted() {
        let bench = TrackerBench()
        var frame = udpFrame()
        frame[14 + 26] ^= 0x55
        let packet = bench.packet(frame)
        packet.pointee.offload.needsChecksum = true
        packet.pointee.offload.checksumStart = 34
        packet.pointee.offload.checksumOffset = 6
        var request = TrackRequest()
        request.zone = 1
        _ = bench.tracker.track(packet, &request, now: bench.now, worker: 0)
        #expect(TrackerBench.outcome(packet).text == "new|trk")
        bench.pool.free(packet)
    }

    @Test func forceReplacesAConnectionOfTheOtherSide() {
        let bench = TrackerBench()
        bench.send(udpFrame())
        var request = TrackRequest()
        request.commits = true
        request.forces = true
        #expect(bench.outcome(udpFrame(), request).text == "new|trk", "its own direction stays")
        #expect(bench.outcome(udpFrame(bob, alice, 53, 1000), request).text == "new|trk")
        #expect(bench.dump().count == 1 && bench.dump()[0].hasPrefix("udp,orig=(src=10.2.0.1"))
        #expect(bench.tracker.total(.replaced) == 1)
    }

    @Test func severalZonesOnOneWay() {
        let bench = TrackerBench()
        var requests = (1...3).map { zone in
            var request = TrackRequest()
            request.zone = UInt16(zone)
            request.commits = true
            return request
        }
        requests.append(requests[0])
        let outcomes = bench.outcomes(udpFrame(), requests)
        #expect(outcomes.map(\.zone) == [1, 2, 3, 1])
        #expect(outcomes.allSatisfy { $0.text == "new|trk" })
        #expect(bench.tracker.count == 3)
        #expect(bench.tracker.count(zone: 2) == 1)
    }

    @Test func clearForgetsThePacketOnly() {
        let bench = TrackerBench()
        let packet = bench.packet(udpFrame())
        var request = TrackRequest()
        request.commits = true
        _ = bench.tracker.track(packet, &request, now: bench.now, worker: 0)
        ConnectionTracker.clear(packet)
        #expect(!packet.pointee.isTracked && packet.pointee.connection == 0)
        #expect(bench.tracker.count == 1)
        bench.pool.free(packet)
    }

    @Test func sourceTranslationBothWays() {
        let bench = TrackerBench()
        var request = TrackRequest()
        request.zone = 1
        request.commits = true
        request.translates = true
        request.kind = .source
        request.hasAddresses = true
        request.firstAddress = 0xc000_0201
        request.lastAddress = 0xc000_0201
        let out = bench.outcome(udpFrame(), request)
        #expect(out.text == "new|trk|snat")
        #expect(out.frame == udpFrame(0xc000_0201, bob, 1000, 53))
        var back = TrackRequest()
        back.zone = 1
        back.translates = true
        let reply = bench.outcome(udpFrame(bob, 0xc000_0201, 53, 1000), back)
        #expect(reply.text == "est|rpl|trk|dnat")
        #expect(reply.frame == udpFrame(bob, alice, 53, 1000))
        // Looked at again in the same zone, it is the same packet.
        let twice = bench.outcomes(udpFrame(), [request, back])
        #expect(twice[1].text == "est|trk|snat" && twice[1].frame == twice[0].frame)
        let other = bench.outcome(udpFrame(alice &+ 1, bob, 1000, 53), request)
        #expect(other.frame == udpFrame(0xc000_0201, bob, 1001, 53), "the port is taken")
        #expect(bench.tracker.count == 2)
        #expect(bench.tracker.flush(zone: 1) == 2)
        #expect(bench.tracker.count == 0 && bench.dump().isEmpty)
    }
}
