import Control
import NIOSSL
import Testing

/// Checks over real sockets of the loopback address. Nothing here depends on speed: what is to be up answers, what is
/// to be down refuses, and what is to run into its timeout never answers.
@Suite(.serialized) struct HealthMonitorTests {
    private func target(_ id: UInt64, port: UInt16, _ words: String...) throws -> HealthTarget {
        let rest = ["check-fall=1", "check-rise=1"]
        return HealthTarget(id: id, address: .ipv4(0x7f00_0001), port: port, check: try HealthCheck(rest + words))
    }

    /// The first change of a target with such settings.
    private func verdict(port: UInt16, _ words: String...) throws -> HealthChange? {
        try verdict(port: port, words)
    }

    private func verdict(port: UInt16, _ words: [String]) throws -> HealthChange? {
        let watched = WatchedMonitor()
        defer { watched.monitor.stop() }
        let check = try HealthCheck(["check-fall=1", "check-rise=1", "check-timeout=1m", "check-interval=1h"] + words)
        watched.monitor.insert([HealthTarget(id: 7, address: .ipv4(0x7f00_0001), port: port, check: check)])
        let change = watched.next()
        #expect(change?.old == .unknown && change?.target.id == 7)
        let known = watched.monitor.statistics(of: [7])[7]
        #expect(known?.state.status == change?.new && known?.lastResult?.text == change?.reason)
        return change
    }

    private func expect(
        _ change: HealthChange?, _ status: HealthStatus, _ reason: String,
        at location: SourceLocation = #_sourceLocation
    ) {
        #expect(change?.new == status && change?.reason == reason, sourceLocation: location)
    }

    @Test func tcp() throws {
        let server = try HealthServer(answer: "")
        defer { server.stop() }
        expect(try verdict(port: server.port, "check=tcp"), .up, "connected")
        expect(try verdict(port: server.port, "check=tcp", "check-source=127.0.0.9"), .up, "connected")
        let closed = ClosedPort()
        expect(try verdict(port: closed.port, "check=tcp"), .down, "connection refused")
        expect(try verdict(port: closed.port, "check=tcp", "check-port=\(server.port)"), .up, "connected")
    }

    @Test func udp() throws {
        let server = try HealthServer(datagrams: true)
        defer { server.stop() }
        expect(try verdict(port: server.port, "check=udp", "check-send=ping"), .up, "answered with 4 bytes")
        expect(try verdict(port: server.port, "check=udp"), .up, "answered with 0 bytes")
        expect(
            try verdict(port: server.port, "check=udp", "check-send=ab", "check-source=127.0.0.9"), .up,
            "answered with 2 bytes")
        let closed = ClosedPort(datagrams: true)
        expect(try verdict(port: closed.port, "check=udp", "check-send=ping"), .down, "connection refused")
        expect(try verdict(port: closed.port, "check=udp", "check-silence=up"), .down, "connection refused")
        let silent = try HealthServer(datagrams: false)
        defer { silent.stop() }
        expect(
            try verdict(port: silent.port, "check=udp", "check-timeout=20ms"), .down, "no answer within 20ms")
        expect(
            try verdict(port: silent.port, "check=udp", "check-timeout=20ms", "check-silence=up"), .up,
            "no refusal within 20ms")
    }

    @Test func http() throws {
        func verdict(_ answer: String, closes: Bool = true, _ words: String...) throws -> HealthChange? {
            let server = try HealthServer(answer: answer, closes: closes)
            defer { server.stop() }
            return try self.verdict(port: server.port, ["check=http:/healthz"] + words)
        }
        expect(try verdict("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), .up, "status 200")
        // The status is enough: what comes behind it is not waited for.
        expect(try verdict("HTTP/1.1 204 No Content\r\n", closes: false), .up, "status 204")
        expect(try verdict("HTTP/1.1 503 Unavailable\r\n\r\n"), .down, "status 503")
        expect(try verdict("HTTP/1.1 503 x\r\n\r\n", closes: true, "check-status=200,500-503"), .up, "status 503")
        expect(try verdict("HTTP/1.1 404 x\r\n\r\n", closes: true, "check-status=200,500-503"), .down, "status 404")
        expect(try verdict("SSH-2.0-x\r\n"), .down, "not an HTTP answer: \"SSH-2\"")
        expect(try verdict("HTTP/1.1 20"), .down, "connection closed before a status")
        let endless = "HTTP/1.1 100 Continue\r\n" + String(repeating: "A: b\r\n", count: 100_000)
        expect(try verdict(endless, closes: false), .down, "no status within 16384 bytes")
        expect(
            try verdict("", closes: false, "check-timeout=20ms"), .down, "no answer within 20ms")
        let closed = ClosedPort()
        expect(try self.verdict(port: closed.port, ["check=http"]), .down, "connection refused")
    }

    @Test func https() throws {
        let tls = try HealthCertificate.serverContext()
        let server = try HealthServer(answer: "HTTP/1.1 200 OK\r\n\r\n", tls: tls)
        defer { server.stop() }
        expect(try verdict(port: server.port, "check=https"), .up, "status 200")
        expect(try verdict(port: server.port, "check=https:/x", "check-host=weft.test"), .up, "status 200")
        // Nobody known has signed it.
        let refused = try verdict(port: server.port, "check=https", "check-host=weft.test", "check-verify=on")
        #expect(refused?.new == .down && refused?.reason.hasPrefix("TLS: ") == true)
        // No TLS at the other end.
        let plain = try HealthServer(answer: "HTTP/1.1 400 Bad Request\r\n\r\n")
        defer { plain.stop() }
        let confused = try verdict(port: plain.port, "check=https")
        #expect(confused?.new == .down && confused?.reason.hasPrefix("TLS: ") == true)
        // A peer that never says goodbye does not hold its socket: `verdict` waits for all sockets to close.
        let silent = try HealthServer(answer: "HTTP/1.1 200 OK\r\n\r\n", closes: false, tls: tls)
        defer { silent.stop() }
        expect(try verdict(port: silent.port, "check=https"), .up, "status 200")
    }

    @Test func whatThisMachineLacksIsNobodysFault() throws {
        let watched = WatchedMonitor()
        defer { watched.monitor.stop() }
        let server = try HealthServer(answer: "")
        defer { server.stop() }
        // An address that is not ours: nothing is decided, whatever `fall` says. The other target's change comes after
        // both have been checked, since one is due before the other.
        watched.monitor.insert([
            try target(1, port: server.port, "check=tcp", "check-source=192.0.2.1", "check-interval=1h"),
            try target(2, port: server.port, "check=tcp", "check-interval=1h", "check-timeout=1m"),
        ])
        #expect(watched.next()?.target.id == 2)
        let known = watched.monitor.statistics(of: [1])[1]
        #expect(known?.state.status == .unknown && known?.state.inconclusive == 1)
        #expect(known?.lastResult == .inconclusive("cannot assign requested address"))
    }

    @Test func aBackendGoesAndComesBack() throws {
        let watched = WatchedMonitor()
        defer { watched.monitor.stop() }
        var server = try HealthServer(answer: "")
        let port = server.port
        /// Another interval means a check at once, of what is known already.
        func check(again minutes: Int) throws {
            watched.monitor.insert([
                try target(1, port: port, "check=tcp", "check-interval=\(minutes)m", "check-timeout=1m")
            ])
        }
        try check(again: 10)
        #expect(watched.next()?.new == .up)
        server.stop()
        try check(again: 11)
        let down = watched.next()
        #expect(down?.old == .up && down?.new == .down && down?.reason == "connection refused")
        server = try HealthServer(answer: "", port: port)
        defer { server.stop() }
        try check(again: 12)
        #expect(watched.next()?.new == .up)
        #expect(watched.monitor.statistics(of: [1])[1]?.state.transitions == 2)
    }

    /// More targets than sockets, a silent one among them: the others get their turn, and everything is closed in the
    /// end.
    @Test func fewSocketsForManyTargets() throws {
        let watched = WatchedMonitor(sockets: 2)
        let server = try HealthServer(answer: "HTTP/1.1 200 OK\r\n\r\n")
        let silent = try HealthServer(answer: "")
        defer {
            server.stop()
            silent.stop()
        }
        var targets = [try target(0, port: silent.port, "check=http", "check-interval=1h", "check-timeout=1h")]
        for id in UInt64(1)...200 {
            targets.append(try target(id, port: server.port, "check=http", "check-timeout=1m", "check-interval=1h"))
        }
        watched.monitor.insert(targets)
        var up: Set<UInt64> = []
        for _ in 0..<200 {
            guard let change = watched.next() else { break }
            #expect(change.new == .up)
            up.insert(change.target.id)
        }
        #expect(up == Set(1...200))
        #expect(watched.monitor.load.running <= 2 && watched.monitor.statistics(of: [0])[0]?.state.status == .unknown)
        // Ends although a check is under way that would take an hour.
        #expect(silent.arrivals.wait(for: 1))
        watched.monitor.stop()
        #expect(watched.monitor.statistics(of: [0, 1]).isEmpty)
    }

    /// Whoever is told of a change may change targets, while others ask.
    @Test func targetsMayChangeWhileAChangeIsTold() throws {
        let watched = WatchedMonitor()
        defer { watched.monitor.stop() }
        let server = try HealthServer(answer: "")
        defer { server.stop() }
        let next = try target(2, port: server.port, "check=tcp", "check-interval=1h", "check-timeout=1m")
        let monitor = watched.monitor
        watched.react { if $0.target.id == 1 { monitor.insert([next]) } }
        watched.monitor.insert([
            try target(1, port: server.port, "check=tcp", "check-interval=1h", "check-timeout=1m")
        ])
        for _ in 0..<1000 { _ = watched.monitor.load }
        #expect(watched.next()?.target.id == 1)
        #expect(watched.next()?.target.id == 2)
    }

    @Test func targetsThatGoAreNotHeardOfAgain() throws {
        let watched = WatchedMonitor()
        defer { watched.monitor.stop() }
        let silent = try HealthServer(answer: "")
        let server = try HealthServer(answer: "")
        defer {
            silent.stop()
            server.stop()
        }
        watched.monitor.insert([try target(1, port: silent.port, "check=http", "check-timeout=1m", "check-interval=1h")]
        )
        #expect(silent.arrivals.wait(for: 1))
        watched.monitor.remove([1])
        #expect(watched.monitor.statistics(of: [1])[1] == nil)
        // The same id at another place begins anew.
        watched.monitor.insert([try target(1, port: server.port, "check=tcp", "check-interval=1h", "check-timeout=1m")])
        let change = watched.next()
        #expect(change?.new == .up && change?.target.port == server.port)
        watched.monitor.insert([HealthTarget(id: 2, address: .ipv4(1), port: 1, check: HealthCheck())])
        #expect(watched.monitor.statistics(of: [2])[2] == nil)
        #expect(watched.monitor.load.targets == 1)
    }
}
