import Balancer
import Conntrack
import Testing

@Suite("Services and affinity")
struct BalancerTests {
    @Test("A client comes back to its backend until its time is over; each connection renews it")
    func affinity() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([1, 1, 1], .roundRobin, affinity: 10)).number
        let first = bench.ask(number, client: 1).backend
        let second = bench.ask(number, client: 2).backend
        #expect(first != second)
        for _ in 0..<5 {
            bench.now += 9_999
            #expect(bench.ask(number, client: 1, port: 999).backend == first)
        }
        bench.now += 10_000
        #expect(bench.ask(number, client: 1).backend != first)
        #expect(bench.balancer.counts(ofService: number) == .init(chosen: 8, refused: 0, returned: 5))
    }

    @Test(
        "Affinity does not hold to a backend that gets no new connections",
        arguments: ["drain", "weight", "health", "gone"])
    func affinityLetsGo(how: String) throws {
        let bench = Bench()
        var spec = Bench.service([1, 1], .roundRobin, affinity: 100)
        let number = try bench.balancer.set(spec).number
        let first = bench.ask(number, client: 1)
        let place = Int(first.address) - 0x0a00_0001
        switch how {
        case "drain": spec.backends[place].isDrained = true
        case "weight": spec.backends[place].weight = 0
        case "gone": spec.backends.remove(at: place)
        default: #expect(bench.balancer.setHealth([first.backend: false], service: "web").count == 1)
        }
        try bench.balancer.set(spec)
        for port in UInt16(1)...10 { #expect(bench.ask(number, client: 1, port: port).backend != first.backend) }
        bench.balancer.reclaim()
    }

    @Test("What is remembered of a service that is gone means nothing to the one that gets its number")
    func affinityOfTheDead() throws {
        let bench = Bench()
        let old = try bench.balancer.set(Bench.service([1, 1], .roundRobin, affinity: 100)).number
        let client = (UInt32(1)...2).first { bench.ask(old, client: $0).address == 0x0a00_0002 } ?? 0
        _ = bench.balancer.remove("web")
        bench.balancer.reclaim()
        // The number of the client's backend goes to a service with another number.
        var first = Bench.service([], .roundRobin, affinity: 100)
        first.name = "first"
        let new = try bench.balancer.set(first).number
        var second = Bench.service([1, 1], .roundRobin)
        second.name = "second"
        try bench.balancer.set(second)
        first.backends = [BackendSpec(address: 0x0a00_0077, port: 1)]
        try bench.balancer.set(first)
        #expect(new == old)
        #expect(bench.ask(new, client: client).address == 0x0a00_0077)
    }

    @Test("A service that gets the numbers of one that is gone has none of its clients")
    func affinityDoesNotPassOn() throws {
        let bench = Bench()
        let old = try bench.balancer.set(Bench.service([1], .roundRobin, affinity: 3600)).number
        for client in UInt32(1)...20 { _ = bench.ask(old, client: client) }
        _ = bench.balancer.remove("web")
        bench.balancer.reclaim()
        var spec = Bench.service([1, 1, 1, 1], .roundRobin, affinity: 3600)
        spec.name = "other"
        let new = try bench.balancer.set(spec).number
        #expect(new == old)
        let places = (UInt32(1)...20).map { Int(bench.ask(new, client: $0).address) - 0x0a00_0001 }
        #expect(histogram(places, 4) == [5, 5, 5, 5])
        #expect(bench.balancer.counts(ofService: new) == .init(chosen: 20, refused: 0, returned: 0))
    }

    @Test("A backend that gets the number of one that is gone has none of its clients")
    func affinityDoesNotPassToAnotherBackend() throws {
        let bench = Bench()
        var spec = Bench.service([1, 1], .roundRobin, affinity: 3600)
        let number = try bench.balancer.set(spec).number
        let clients = (UInt32(1)...20).filter { bench.ask(number, client: $0).address == 0x0a00_0001 }
        let gone = spec.backends.removeFirst()
        let numbers = try bench.balancer.set(spec).gone
        bench.balancer.reclaim()
        spec.backends.insert(BackendSpec(address: gone.address + 77, port: 1), at: 0)
        try bench.balancer.set(spec)
        #expect(bench.balancer.services["web"]?.members.map(\.number).contains(numbers[0]) == true)
        let places = clients.map { bench.ask(number, client: $0).address == gone.address + 77 ? 0 : 1 }
        #expect(clients.count == 10 && histogram(places, 2) == [5, 5])
        #expect(bench.balancer.counts(ofService: number).returned == 0)
    }

    @Test("A choice that led to no connection is not counted, and nobody comes back to it")
    func choicesThatCameToNothing() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([1, 1], .roundRobin, affinity: 3600)).number
        let first = bench.ask(number, client: 1, isMade: false)
        #expect(bench.balancer.counts(ofService: number) == .init(chosen: 0, refused: 0, returned: 0))
        #expect(bench.balancer.chosen(backend: first.backend) == 0)
        let second = bench.ask(number, client: 1)
        #expect(second.backend != first.backend)
        // What was remembered before stays.
        #expect(bench.ask(number, client: 1, isMade: false).backend == second.backend)
        #expect(bench.ask(number, client: 1).backend == second.backend)
        #expect(bench.balancer.counts(ofService: number) == .init(chosen: 2, refused: 0, returned: 1))
    }

    @Test("Which clients push each other out of the affinity table depends on a secret")
    func affinityHasASecret() throws {
        func evictions(seed: UInt64) throws -> UInt64 {
            let bench = Bench(seed: seed)
            let number = try bench.balancer.set(Bench.service([1, 1], .roundRobin, affinity: 1000)).number
            for client in 0..<UInt32(AffinityTable.capacity / 2) { _ = bench.ask(number, client: client) }
            return bench.balancer.affinityEvictions
        }
        let first = try evictions(seed: 1)
        #expect(try evictions(seed: 1) == first)
        #expect(try evictions(seed: 2) != first)
    }

    @Test("What checks found of many backends makes one new block, and none where nothing is news")
    func healthOfManyAtOnce() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service(Array(repeating: 1, count: 100), .maglev)).number
        let members = try #require(bench.balancer.services["web"]).members
        let dead = Dictionary(uniqueKeysWithValues: members.prefix(60).map { ($0.number, false) })
        #expect(bench.balancer.setHealth(dead, service: "web").count == 60)
        #expect(bench.balancer.leavingBlocks == 1)
        #expect(histogram(bench.places(number, count: 5000), 100).prefix(60).allSatisfy { $0 == 0 })
        #expect(bench.balancer.setHealth(dead, service: "web").isEmpty)
        bench.balancer.setAllHealthy(service: "web")
        bench.balancer.setAllHealthy(service: "web")
        #expect(bench.balancer.leavingBlocks == 2)
        #expect(histogram(bench.places(number, count: 5000), 100).prefix(60).contains { $0 > 0 })
        bench.balancer.reclaim()
        #expect(bench.balancer.setHealth([1: false], service: "nobody").isEmpty)
    }

    @Test("Services that change together take each other's room")
    func changesTogether() throws {
        let bench = Bench()
        // Tables of 10 MB each: no room for one more.
        func spec(_ i: Int, isLarge: Bool) -> ServiceSpec {
            var spec = Bench.service([], .maglev)
            spec.name = "s\(i)"
            spec.maglevSize = isLarge ? 5_000_011 : 251
            return spec
        }
        let count = BalancerLimits.tableBytes / 10_000_022
        try bench.balancer.set((0...count).map { spec($0, isLarge: $0 < count) })
        let last = spec(count, isLarge: true)
        #expect(throws: BalancerError.self) { try bench.balancer.set(last) }
        #expect(throws: Never.self) { _ = try bench.balancer.check([last], without: [spec(0, isLarge: true).name]) }
        try bench.balancer.set([last, spec(0, isLarge: false)])
        #expect(bench.balancer.services["s0"]?.spec.maglevSize == 251)
        #expect(bench.balancer.use.services == count + 1 && bench.balancer.use.backends == 0)
    }

    @Test("The affinity table gives up those that would expire first, and counts them")
    func affinityIsBounded() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([1, 1], .roundRobin, affinity: 1000)).number
        for client in 0..<UInt32(2 * AffinityTable.capacity) { _ = bench.ask(number, client: client) }
        let evicted = bench.balancer.affinityEvictions
        #expect(evicted >= UInt64(AffinityTable.capacity) && evicted < UInt64(2 * AffinityTable.capacity))
        bench.now += 1_000_000
        for client in 0..<UInt32(1000) { _ = bench.ask(number, client: client) }
        #expect(bench.balancer.affinityEvictions == evicted)
    }

    @Test("Without a backend a connection is refused or dropped, as configured, and counted")
    func empty() throws {
        let bench = Bench()
        var spec = Bench.service([], .maglev)
        let number = try bench.balancer.set(spec).number
        #expect(bench.ask(number, client: 1).outcome == .emptyRefuses)
        spec.whenEmpty = .drop
        try bench.balancer.set(spec)
        #expect(bench.ask(number, client: 1).outcome == .empty)
        #expect(bench.balancer.counts(ofService: number).refused == 2)
        #expect(bench.ask(number + 1, client: 1).outcome == .empty)
        #expect(bench.ask(.max, client: 1).outcome == .empty)
        let other = Endpoint(address: Bench.vip.address, isIPv6: false, port: 81)
        #expect(bench.ask(number, client: 1, to: other).outcome == .foreign)
    }

    @Test("Backends that stay keep their numbers; those that go are named, and their numbers wait for reclaim")
    func numbers() throws {
        let bench = Bench()
        var spec = Bench.service([1, 1, 1], .roundRobin)
        try bench.balancer.set(spec)
        let before = try #require(bench.balancer.services["web"]).members.map(\.number)
        let gone = spec.backends.remove(at: 1)
        #expect(try bench.balancer.set(spec).gone == [before[1]])
        spec.backends.append(gone)
        #expect(try bench.balancer.set(spec).gone == [])
        let after = try #require(bench.balancer.services["web"]).members.map(\.number)
        #expect(after[0] == before[0] && after[1] == before[2] && !before.contains(after[2]))
        bench.balancer.reclaim()
        #expect(Set(try #require(bench.balancer.remove("web"))) == Set(after))
        #expect(bench.balancer.remove("web") == nil)
        #expect(bench.balancer.use == BalancerUse())
    }

    @Test("What cannot be is refused, and nothing changes")
    func refusals() throws {
        let bench = Bench()
        var spec = Bench.service([1, 1], .maglev)
        try bench.balancer.set(spec)
        let before = bench.balancer.services["web"]?.spec
        spec.backends.append(spec.backends[0])
        #expect(throws: BalancerError("backend 10.0.0.1:8080 is there twice")) { try bench.balancer.set(spec) }
        spec = Bench.service(Array(repeating: 1, count: 300), .maglev)
        spec.maglevSize = 251
        #expect(throws: BalancerError.self) { try bench.balancer.set(spec) }
        #expect(bench.balancer.services["web"]?.spec == before)
    }

    @Test("A client that is its own backend is translated to the service's address; cluster mode names its own")
    func sources() throws {
        let bench = Bench()
        var spec = Bench.service([1], .roundRobin)
        let number = try bench.balancer.set(spec).number
        #expect(!bench.ask(number, client: 5).translatesSource)
        let hairpin = bench.ask(number, client: 0x0a00_0001)
        #expect(hairpin.translatesSource && hairpin.firstSource == Bench.vip.address)
        spec.mode = .cluster
        spec.firstSource = 77
        spec.lastSource = 79
        try bench.balancer.set(spec)
        let query = bench.ask(number, client: 5)
        #expect(query.translatesSource && query.firstSource == 77 && query.lastSource == 79)
    }

    @Test("50,000 services with 500,000 backends: a choice reads no more than with one")
    func manyServices() throws {
        let bench = Bench()
        for i in 0..<50_000 {
            var spec = Bench.service(Array(repeating: 1, count: 10), .roundRobin)
            spec.name = "s\(i)"
            spec.endpoint.address = 0x0a10_0000 + UInt128(i)
            try bench.balancer.set(spec)
        }
        for i in stride(from: 0, to: 50_000, by: 77) {
            let service = try #require(bench.balancer.services["s\(i)"])
            let query = bench.ask(service.number, client: 9, to: service.spec.endpoint)
            #expect(query.outcome == .chosen && service.members.contains { $0.number == query.backend })
        }
    }
}
