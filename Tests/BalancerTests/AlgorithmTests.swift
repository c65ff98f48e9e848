import Balancer
import Conntrack
import Testing

@Suite("Algorithms")
struct AlgorithmTests {
    @Test("Round robin takes backends in turn, weights aside but for 0")
    func roundRobin() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([1, 7, 0, 1], .roundRobin)).number
        #expect(bench.places(number, count: 7) == [0, 1, 3, 0, 1, 3, 0])
    }

    @Test("Weighted round robin is exact over a turn and never more than one choice off within it")
    func weightedRoundRobin() throws {
        for weights in [[5, 1, 1], [3, 2], [10, 4, 1, 1], [100, 99, 1], [6, 4, 2]] as [[UInt16]] {
            let bench = Bench()
            let number = try bench.balancer.set(Bench.service(weights, .weightedRoundRobin)).number
            let total = weights.reduce(0) { $0 + Int($1) }
            let places = bench.places(number, count: 2 * total)
            #expect(histogram(places, weights.count) == weights.map { 2 * Int($0) })
            var counts = [Int](repeating: 0, count: weights.count)
            for (i, place) in places.enumerated() {
                counts[place] += 1
                for (backend, weight) in weights.enumerated() {
                    let share = Double(i + 1) * Double(weight) / Double(total)
                    #expect(abs(Double(counts[backend]) - share) <= 1.0001, "\(weights): \(backend) after \(i + 1)")
                }
            }
        }
    }

    @Test("Weights that are too great for a table are scaled to fit, each to 1 at least")
    func scaledWeights() {
        let reduced = WeightedSequence.reduced([65535, 65534, 1], limit: 1000)
        #expect(reduced.reduce(0, +) <= 1002 && reduced[2] == 1 && reduced[0] >= 499)
        #expect(WeightedSequence.reduced([100, 50, 50], limit: 1000) == [2, 1, 1])
        #expect(WeightedSequence.places([4, 4, 4]) == [0, 1, 2])
    }

    @Test("Least connections goes to the one with the fewest, equal ones in turn")
    func leastConnections() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([1, 1, 1], .leastConnections)).number
        let members = try #require(bench.balancer.services["web"]).members
        #expect(Set(bench.places(number, count: 3)) == [0, 1, 2])
        bench.connections[Int(members[0].number)] = 5
        bench.connections[Int(members[1].number)] = 2
        bench.connections[Int(members[2].number)] = 3
        #expect(bench.places(number, count: 4) == [1, 1, 1, 1])
        bench.connections[Int(members[1].number)] = 4
        #expect(bench.places(number, count: 2) == [2, 2])
    }

    @Test("Weighted least connections keeps loads in the ratio of the weights")
    func weightedLeastConnections() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([4, 2, 1], .weightedLeastConnections)).number
        for i in 0..<700 {
            let query = bench.ask(number, client: UInt32(i))
            bench.connections[Int(query.backend)] += 1
        }
        let members = try #require(bench.balancer.services["web"]).members
        #expect(members.map { bench.connections[Int($0.number)] } == [400, 200, 100])
    }

    @Test("Hashes of addresses: the same client, or the same service, always gets the same backend")
    func addressHashes() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([1, 1, 1, 1], .sourceHash)).number
        for client in UInt32(1)...200 {
            let backends = (1...5).map { bench.ask(number, client: client, port: UInt16($0) * 1000).backend }
            #expect(Set(backends).count == 1)
        }
        #expect(histogram(bench.places(number, count: 4000), 4).allSatisfy { (800...1200).contains($0) })
        let other = try bench.balancer.set(Bench.service([1, 1, 1, 1], .destinationHash)).number
        #expect(Set(bench.places(other, count: 100)).count == 1)
    }

    @Test("Random follows the weights")
    func random() throws {
        let bench = Bench()
        let number = try bench.balancer.set(Bench.service([3, 1], .random)).number
        let counts = histogram(bench.places(number, count: 8000), 2)
        #expect((5700...6300).contains(counts[0]) && counts[0] + counts[1] == 8000)
    }
}
