import Conntrack
import Testing

/// Limits, expiry, flush, timeouts.
@Suite struct LimitTests {
    @Test func aFullZoneRefuses() {
        let bench = TrackerBench()
        bench.tracker.setLimit(2, zone: 4)
        for port: UInt16 in 1...3 { #expect(bench.send(udpFrame(alice, bob, port, 53), zone: 4) == "new|trk") }
        #expect(bench.dump(zone: 4).count == 2)
        #expect(bench.tracker.total(.refusedByZoneLimit) == 1 && bench.tracker.refused(zone: 4) == 1)
        #expect(bench.send(udpFrame(alice, bob, 3, 53), zone: 5) == "new|trk")
        #expect(bench.tracker.count == 3)
        bench.tracker.defaultZoneLimit = 1
        bench.send(udpFrame(alice, bob, 4, 53), zone: 5)
        #expect(bench.tracker.count(zone: 5) == 1)
        bench.tracker.setLimit(nil, zone: 4)
        #expect(bench.tracker.zoneLimit(4) == 1 && bench.tracker.ownLimit(zone: 4) == nil)
        bench.tracker.setLimit(0, zone: 5)
        bench.send(udpFrame(alice, bob, 4, 53), zone: 5)
        #expect(bench.tracker.count(zone: 5) == 2, "0 is no limit")
    }

    @Test func theOldestUnansweredGivesWay() {
        let bench = TrackerBench()
        bench.tracker.setLimit(3, zone: 0)
        bench.send(udpFrame(alice, bob, 1, 53))
        bench.send(udpFrame(bob, alice, 53, 1))
        bench.send(udpFrame(alice, bob, 2, 53))
        var talk = Conversation()
        bench.send(talk.up(2))
        bench.send(talk.down(0x12))
        bench.send(talk.up(0x10))
        bench.now += 2000
        bench.send(udpFrame(alice, bob, 3, 53))
        #expect(bench.tracker.total(.earlyDrop) == 1)
        #expect(bench.dump().count == 3)
        #expect(!bench.dump().contains { $0.contains("sport=2,") })
        bench.send(udpFrame(bob, alice, 53, 3))
        bench.now += 2000
        bench.send(udpFrame(alice, bob, 4, 53))
        #expect(bench.tracker.total(.earlyDrop) == 1, "only live ones are left")
        #expect(bench.tracker.total(.refusedByZoneLimit) == 1)
        #expect(bench.send(udpFrame(alice, bob, 1, 53)) == "est|trk")
    }

    @Test func aFloodDoesNotEvictEstablishedConnections() {
        let bench = TrackerBench { $0.limit = 2000 }
        for port: UInt16 in 1...500 {
            bench.send(udpFrame(alice, bob, port, 53))
            bench.send(udpFrame(bob, alice, 53, port))
        }
        for n: UInt32 in 0..<10_000 {
            bench.send(Segment(src: 0x0b00_0000 + n, flags: 2).frame)
            bench.now += 1
            if n % 100 == 0 { bench.settle() }
        }
        #expect(bench.tracker.count <= 2001)
        #expect(bench.tracker.total(.earlyDrop) > 0)
        for port: UInt16 in 1...500 {
            #expect(bench.send(udpFrame(alice, bob, port, 53)) == "est|trk")
        }
        #expect(bench.tracker.slotsUsed < 6000)
    }

    /// However much is due, a step of upkeep does a part of it.
    @Test func upkeepGoesInSteps() {
        let bench = TrackerBench()
        for port: UInt16 in 1...10_000 { bench.send(udpFrame(alice, bob, port, 53)) }
        bench.settle()
        bench.now += 3_600_000
        #expect(bench.tracker.upkeep(now: bench.now))
        #expect(bench.tracker.count > 0)
        while bench.tracker.upkeep(now: bench.now) {}
        #expect(bench.tracker.count == 0)
    }

    /// Those that were never answered go; one that is answered meanwhile stays.
    @Test func aVictimThatIsAnsweredStays() {
        let bench = TrackerBench { $0.limit = 1000 }
        for port: UInt16 in 1...1000 { bench.send(udpFrame(alice, bob, port, 53)) }
        bench.now += 2000
        for port: UInt16 in 2000..<2300 { bench.send(udpFrame(alice, bob, port, 53)) }
        let dropped = bench.tracker.total(.earlyDrop)
        #expect(dropped > 200)
        for port: UInt16 in 1...2300 { bench.send(udpFrame(bob, alice, 53, port), commits: false) }
        let answered = bench.tracker.total(.established)
        bench.now += 2000
        for port: UInt16 in 3000..<3300 { bench.send(udpFrame(alice, bob, port, 53)) }
        #expect(bench.tracker.total(.earlyDrop) == dropped)
        for port: UInt16 in 1...2300 { bench.send(udpFrame(alice, bob, port, 53), commits: false) }
        #expect(bench.tracker.total(.established) == 2 * answered)
    }

    /// Among many that live the few that do not are found.
    @Test func victimsAreFoundAmongManyThatLive() {
        let bench = TrackerBench { $0.limit = 2000 }
        for port: UInt16 in 1...2000 { bench.send(udpFrame(alice, bob, port, 53)) }
        for port: UInt16 in 1...1600 { bench.send(udpFrame(bob, alice, 53, port), commits: false) }
        bench.now += 2000
        for port: UInt16 in 3001...3300 { bench.send(udpFrame(alice, bob, port, 53)) }
        #expect(bench.tracker.total(.refusedByLimit) < 80)
        #expect(bench.tracker.count <= 2000)
        for port: UInt16 in 1...1600 {
            #expect(bench.send(udpFrame(bob, alice, 53, port), commits: false) == "est|rpl|trk")
        }
    }

    /// In a large table several go at once, and none of them is one that lives.
    @Test func severalGoAtOnce() {
        let limit = 65_536
        let bench = TrackerBench {
            $0.limit = UInt32(limit)
            $0.capacity = 100_000
        }
        for n in 0..<limit {
            bench.send(udpFrame(UInt32(0x0b00_0000 + n), bob, 7, 53))
            if n % 8 == 0 { bench.send(udpFrame(bob, UInt32(0x0b00_0000 + n), 53, 7)) }
        }
        bench.now += 2000
        for n in 0..<1000 { bench.send(udpFrame(UInt32(0x0c00_0000 + n), bob, 7, 53)) }
        let dropped = Int(bench.tracker.total(.earlyDrop))
        #expect(bench.tracker.total(.refusedByLimit) == 0)
        #expect(dropped >= 1000 && dropped <= 1016 && bench.tracker.count == limit + 1000 - dropped)
        for n in stride(from: 0, to: limit, by: 8) {
            #expect(bench.send(udpFrame(bob, UInt32(0x0b00_0000 + n), 53, 7), commits: false) == "est|rpl|trk")
        }
    }

    @Test func timeoutsByZone() {
        let bench = TrackerBench()
        var policy = TimeoutPolicy()
        policy[.udpFirst] = 5
        bench.tracker.setTimeouts(policy, zone: 3)
        bench.send(udpFrame(), zone: 3)
        bench.send(udpFrame(), zone: 4)
        bench.advance(5000)
        #expect(bench.dump().count == 1 && bench.dump(zone: 4).count == 1)
        #expect(bench.tracker.timeouts(zone: 3)[.udpFirst] == 5)
        #expect(bench.tracker.timeouts(zone: 4)[.udpFirst] == 60)
        bench.tracker.removeTimeouts(zone: 3)
        #expect(bench.tracker.timeouts(zone: 3) == TimeoutPolicy())
        #expect(TimeoutName(name: "udp-first") == .udpFirst && TimeoutName(name: "tcp_syn_sent2") == .tcpSynSent2)
        #expect(TimeoutName(name: "udp") == nil)
    }

    @Test(arguments: [60_000, 3_600_000, 86_400_000 as UInt64]) func afterALongSilenceAllIsGone(silence: UInt64) {
        let bench = TrackerBench()
        var policy = TimeoutPolicy()
        policy[.udpFirst] = UInt32(silence / 1000)
        bench.tracker.setTimeouts(policy, zone: nil)
        for port: UInt16 in 1...1000 { bench.send(udpFrame(alice, bob, port, 53)) }
        bench.advance(silence - 1)
        #expect(bench.tracker.count == 1000)
        bench.advance(1500)
        #expect(bench.tracker.count == 0)
        #expect(bench.tracker.total(.expired) == 1000)
        let used = bench.tracker.slotsUsed
        for port: UInt16 in 1...1000 { bench.send(udpFrame(alice, bob, port, 53)) }
        #expect(bench.tracker.slotsUsed == used, "slots are used again")
    }

    @Test func traffickedConnectionsStay() {
        let bench = TrackerBench()
        bench.send(udpFrame())
        bench.send(udpFrame(bob, alice, 53, 1000))
        for _ in 0..<100 {
            bench.advance(25_000)
            #expect(bench.send(udpFrame()) == "est|trk")
        }
        bench.advance(30_000)
        #expect(bench.send(udpFrame(), commits: false) == "new|trk")
    }

    @Test func flushByZoneByTupleAndAll() {
        let bench = TrackerBench()
        for zone: UInt16 in [1, 2, 65535] {
            for port: UInt16 in 1...300 { bench.send(udpFrame(alice, bob, port, 53), zone: zone) }
        }
        #expect(bench.tracker.flush(zone: 3) == 0)
        #expect(bench.tracker.flush(zone: 2) == 300)
        #expect(bench.tracker.count(zone: 2) == 0 && bench.tracker.count == 600)
        let tuple = ConnectionTuple(
            src: UInt128(bob), dst: UInt128(alice), isIPv6: false, ipProtocol: 17, sourcePort: 53, destinationPort: 7,
            zone: 1)
        #expect(bench.tracker.flush(tuple, now: bench.now), "in either direction")
        #expect(!bench.tracker.flush(tuple, now: bench.now))
        #expect(bench.tracker.flush() == 599)
        #expect(bench.tracker.count == 0 && bench.tracker.total(.flushed) == 900)
        #expect(bench.send(udpFrame(alice, bob, 7, 53), zone: 1) == "new|trk")
    }

    @Test func manyConnectionsGrowTheTable() {
        let bench = TrackerBench {
            $0.limit = 100_000
            $0.capacity = 100_000
        }
        for n: UInt32 in 0..<60_000 { bench.send(udpFrame(0x0b00_0000 + n, bob, 9, 53)) }
        #expect(bench.tracker.count == 60_000)
        for n: UInt32 in 0..<60_000 {
            #expect(bench.send(udpFrame(bob, 0x0b00_0000 + n, 53, 9)) == "est|rpl|trk")
        }
        #expect(bench.tracker.memoryUsed < 60_000 * 350)
        #expect(bench.tracker.flush() == 60_000)
        for n: UInt32 in 0..<1000 {
            #expect(bench.send(udpFrame(bob, 0x0b00_0000 + n, 53, 9), commits: false) == "new|trk")
        }
    }

    @Test func outOfMemoryRefuses() {
        let bench = TrackerBench {
            $0.limit = 64
            $0.capacity = 64
            $0.earlyDropAge = .max
        }
        for n: UInt32 in 0..<100 { bench.send(udpFrame(0x0b00_0000 + n, bob, 9, 53)) }
        #expect(bench.tracker.count == 64 && bench.tracker.total(.refusedByLimit) == 36)
    }

    @Test func statisticsAndTalkers() {
        let bench = TrackerBench()
        bench.send(udpFrame(), zone: 1)
        bench.send(udpFrame(bob, alice, 53, 1000), zone: 1)
        bench.send(udpFrame(alice, bob, 2000, 53), zone: 2)
        var talk = Conversation()
        bench.send(talk.up(2), zone: 1)
        var summary = ConnectionSummary()
        for connection in bench.tracker.connections(now: bench.now) { summary.add(connection, talkers: 2) }
        #expect(summary.total == 3 && summary.byProtocol == [.udp: 2, .tcp: 1])
        #expect(summary.tcpStates == [.synSent: 1] && summary.answered == 1 && summary.unanswered == 1)
        #expect(summary.byZone == [1: 2, 2: 1])
        #expect(summary.talkers.map(\.totalBytes) == [90, 54])
        #expect(bench.tracker.count(of: .udp) == 2)
        #expect(
            bench.dump(zone: 1, .statistics).contains {
                $0.contains("dport=53,packets=1,bytes=45)") && $0.contains(",timeout=30")
            })
    }
}
