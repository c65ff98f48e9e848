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
        default: #expect(bench.balancer.setHealth(false, of: spec.backends[place], service: "web"))
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
        #expect(bench.balancer.tableBytes == 0)
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
