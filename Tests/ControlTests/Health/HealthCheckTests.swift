import Control
import Testing

/// Settings of checks, and the rules of rise and fall.
@Suite struct HealthCheckTests {
    private func check(_ words: String...) throws -> HealthCheck {
        try HealthCheck(words)
    }

    private func error(_ words: String...) -> String {
        do {
            _ = try HealthCheck(words)
            return "none"
        } catch {
            return "\(error)"
        }
    }

    @Test func settings() throws {
        #expect(try check().kind == nil)
        #expect(try check("check=tcp").kind == .tcp)
        let http = try check(
            "check=http:/healthz?full=1:2", "check_interval=5m", "check-timeout=1500ms", "check-rise=4", "check-fall=5",
            "check-status=200,301-302", "check-host=example.org:8080", "check-port=8081", "check-source=10.0.0.9")
        #expect(http.kind == .http && http.path == "/healthz?full=1:2" && http.interval == 300_000)
        #expect(http.timeout == 1500 && http.rise == 4 && http.fall == 5 && http.statuses == [200...200, 301...302])
        #expect(http.host == "example.org:8080" && http.port == 8081 && http.source == .ipv4(0x0a00_0009))
        let udp = try check("check=udp", "check-send=\\x00\\xffping\\n\\\\", "check-silence=up")
        #expect(udp.payload == [0, 0xff] + Array("ping\n\\".utf8) && udp.takesSilence)
        #expect(try check("check=https", "check-verify=on").verifiesCertificate)
        #expect(try check("check=https", "check-source=fd00::1").source == .ipv6(0xfd00 << 112 | 1))
        #expect(try check("check=https:/a", "check=tcp") == check("check=tcp"))
        #expect(try check("check=http:/a", "check=") == HealthCheck())
    }

    /// What is written is read back, and what help calls the default is one.
    @Test func roundTrip() throws {
        for check in [
            try check("check=http:/x", "check-status=200-299,404", "check-host=[fd00::1]:80"),
            try check("check=udp", "check-send=a b\\x7f\\t", "check-silence=up", "check-port=53"),
            try check("check=https", "check-verify=on", "check-interval=1h", "check-timeout=90s", "check-rise=1"),
            try check("check=tcp", "check-source=fd00::5", "check-interval=1500ms", "check-fall=1"), HealthCheck(),
        ] {
            #expect(try HealthCheck(check.settings.map { "\($0.key)=\($0.value)" }) == check)
        }
        for key in HealthCheck.keys where !key.standard.hasPrefix("(") {
            var check = HealthCheck()
            try check.set(key.name, key.standard)
            #expect(check == HealthCheck(), "\(key.name)")
            try check.set(key.name, "")
            #expect(check == HealthCheck(), "\(key.name)")
        }
    }

    @Test func refusals() throws {
        #expect(error("check=ping") == "check: unknown \"ping\", expected one of none, tcp, udp, http, https")
        #expect(error("check=tcp:/x") == "check: nothing may follow \"tcp\", found \":/x\"")
        #expect(
            error("check=http:healthz")
                == "check: expected a path that begins with / and has no spaces, up to 1024 bytes, found \"healthz\"")
        #expect(error("check=http:/a b").contains("no spaces"))
        #expect(error("check=http:/a\r\nX: y").contains("no spaces"))
        for time in [
            "2", "s", "-1s", "+1s", "1.5s", "99ms", "2h", "99999999999999999999s", "1 s", "18446744073709552s",
        ] {
            #expect(
                error("check=tcp", "check-interval=\(time)")
                    == "check-interval: expected a time from 100ms to 1h as in 500ms or 2s, found \"\(time)\"")
        }
        for codes in ["", "20", "100", "200-", "300-200", "200,,300", "200-600", "x"] where !codes.isEmpty {
            #expect(error("check=http", "check-status=\(codes)").hasPrefix("check-status: expected status codes from"))
        }
        #expect(error("check=http", "check-host=a b").contains("expected a host name or address"))
        #expect(error("check=http", "check-host=a\r\nb").contains("expected a host name or address"))
        #expect(error("check=udp", "check-send=\\q").contains("expected \\xHH"))
        #expect(error("check=udp", "check-send=\\x1").contains("two hexadecimal digits"))
        #expect(error("check=udp", "check-send=\\x+1").contains("two hexadecimal digits"))
        #expect(error("check=udp", "check-send=" + String(repeating: "a", count: 1025)).contains("up to 1024 bytes"))
        #expect(error("check=udp", "check-silence=maybe").contains("expected one of up, down"))
        #expect(error("check=tcp", "check-port=0").contains("from 1 to 65535"))
        #expect(error("check=tcp", "check-source=here").contains("expected an IPv4 or IPv6 address"))
        #expect(error("check-rise=5") == "check-rise needs check=tcp, udp, http or https")
        #expect(error("check=tcp", "check-status=200") == "check-status has no meaning with check=tcp")
        #expect(error("check=http", "check-verify=on") == "check-verify has no meaning with check=http")
        #expect(error("check=http", "check-send=x") == "check-send has no meaning with check=http")
        #expect(
            error("check=tcp", "check-timeout=3s")
                == "check-timeout (3s) is longer than check-interval (2s)")
        #expect(error("check=tcp", "check-foo=1").hasPrefix("unknown key \"check-foo\", expected one of check, "))
        let check = try check("check=tcp", "check-source=fd00::5")
        #expect(throws: SettingError.self) { try check.validate(for: .ipv4(1)) }
        #expect(throws: Never.self) { try check.validate(for: .ipv6(1)) }
    }

    @Test func riseAndFall() {
        var state = HealthState(now: 5)
        var now: UInt64 = 10
        /// + and - are results, ? says nothing; gives the status behind each.
        func run(_ results: String) -> String {
            results.map { letter -> String in
                now += 1
                let result: HealthResult =
                    letter == "+"
                    ? .success("")
                    : letter == "-"
                        ? .failure("")
                        : letter == "."
                            ? .timeout("")
                            : .inconclusive("")
                let old = state.status
                let hasChanged = state.record(result, rise: 2, fall: 3, now: now)
                #expect(hasChanged == (old != state.status))
                if hasChanged { #expect(state.since == now) }
                return state.status == .up ? "u" : state.status == .down ? "d" : "?"
            }.joined()
        }
        #expect(run("?--+") == "???u")
        #expect(run("--+-?-.") == "uuuuuud")
        #expect(run("+-+?+") == "ddddu")
        #expect(state.transitions == 2)
        #expect(state.successes == 5 && state.failures == 8 && state.inconclusive == 3)
        state = HealthState(now: 0)
        #expect(run("-.-+") == "??dd")
        #expect(state.transitions == 0)
    }
}
