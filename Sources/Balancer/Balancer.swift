// Load balancing: which backend a new connection to a service gets.
//
// A *service* is an address, a protocol and a port (the VIP) in front of *backends*. What happens to a packet of one is
// connection tracking with a translation (Conntrack), and which packets are concerned is found out by the translator
// (Pipeline). Left for this module is the choice, once for each connection, and what it needs: the algorithms, the memory of
// which client had which backend (affinity), and counters. No I/O, no clock, no thread of its own.
//
//     Service, Endpoint        what was configured, as plain values
//     WeightedSequence, Maglev tables that are made when the backends change
//     ChoiceBlock              everything that a choice reads about one service, in one piece of memory
//     BalancerTable            slots of services and backends, and the choice itself
//     AffinityTable            client -> backend, of fixed size
//     BalancerUse              what services take of the module's limits
//     Balancer                 the owner: takes changes, makes blocks, frees them
//
// Numbers
// -------
// A service has a number, and so has each of its backends; both are places in flat tables that never move, so whatever keeps a
// number (a cached program, a connection) needs no reference. A backend's number stays the same through changes of its service.
// It is given out again only when no worker can still choose it and no connection has it (`reclaim`). What may outlive that, the
// memory of which client had it, has the number's generation too.
//
// Threads
// -------
// The control thread alone changes a `Balancer`. Workers choose at any time, without a lock: a service's slot holds the address
// of its present block, which never changes once it can be seen. A change makes a new block, puts its address into the slot,
// and keeps the old one until every worker has passed a quiet point; then the owner calls `reclaim`. Of what workers write
// (cursors, counters, the affinity table) every word is used with atomic operations, or under the lock of its line.
//
// What it costs
// -------------
// A choice is a look at the slot, the block and one entry of its table, whatever the number of services and backends; least
// connections look at each backend, 1,024 at the most. Memory: 64 bytes a service and 64 a backend; a block has 8 bytes a
// backend and 2 an entry, and only Maglev's table is large (131 KB with the default of 65,537 entries). Nothing grows with
// connections or clients: the affinity table has room for 262,144 pairs of client and service and gives up those that would
// expire first, which is counted.

import Conntrack

/// Limits of the module; the tables are reserved as address space and resident only where they are used.
public enum BalancerLimits {
    /// Services at the most.
    public static var services: Int { 1 << 17 }
    /// Backends of one service at the most: tables name them with 16 bits.
    public static var backendsPerService: Int { 65535 }
    /// Backends of all services; their numbers are below.
    public static var backends: Int { BackendChooser.backendLimit }
    /// Bytes of choice tables of all services together.
    public static var tableBytes: Int { 4 << 30 }
}

/// What services take of that.
public struct BalancerUse: Sendable, Equatable {
    public private(set) var services = 0
    public private(set) var backends = 0
    /// Bytes of choice tables.
    public private(set) var tableBytes = 0

    public init() {}

    public mutating func add(_ spec: ServiceSpec) { change(spec, 1) }
    public mutating func remove(_ spec: ServiceSpec) { change(spec, -1) }

    private mutating func change(_ spec: ServiceSpec, _ step: Int) {
        services += step
        backends += step * spec.backends.count
        tableBytes += step * spec.tableBytes
    }

    /// Whether a balancer has room for it.
    public func check() throws(BalancerError) {
        guard services < BalancerLimits.services else {
            throw BalancerError("no more than \(BalancerLimits.services - 1) services")
        }
        guard backends < BalancerLimits.backends else {
            throw BalancerError("no more than \(BalancerLimits.backends - 1) backends over all services")
        }
        guard tableBytes <= BalancerLimits.tableBytes else {
            throw BalancerError(
                "tables of all services would take \(tableBytes >> 20) MB, \(BalancerLimits.tableBytes >> 20) at the most: "
                    + "use another algorithm, or a smaller maglev-size")
        }
    }
}

extension ServiceSpec {
    /// What must hold for a service by itself, beyond each single value.
    public func check() throws(BalancerError) {
        var seen: Set<Endpoint> = []
        for backend in backends {
            let endpoint = backend.endpoint(ipProtocol: self.endpoint.ipProtocol)
            guard seen.insert(endpoint).inserted else { throw BalancerError("backend \(endpoint.text) is there twice") }
        }
        guard backends.count <= BalancerLimits.backendsPerService else {
            throw BalancerError(
                "\(backends.count) backends: a service has \(BalancerLimits.backendsPerService) at the most")
        }
        if algorithm == .maglev, maglevSize <= backends.count {
            throw BalancerError(
                "maglev-size \(maglevSize): must be greater than the number of backends, \(backends.count)")
        }
    }
}
