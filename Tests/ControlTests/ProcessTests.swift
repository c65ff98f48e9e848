import Control
import Foundation
import Glibc
import Logging
import Testing

@Suite struct ProcessTests {
    @Test func missingCapabilities() {
        #expect(Privileges.missing(status: "Name:\tx\nCapEff:\t0000000000000000\n") == [.netAdmin, .netRaw])
        #expect(Privileges.missing(status: "CapEff:\t0000000000003000\n").isEmpty)
        #expect(Privileges.missing(status: "CapEff:\t0000000000002000\n") == [.netAdmin])
        #expect(Privileges.missing(status: "CapEff:\tgarbage\n").isEmpty)
        #expect(Privileges.missing(status: "").isEmpty)
    }

    @Test func processFileIsExclusive() throws {
        let scratch = Scratch()
        let path = scratch.write("pid", "old content that is longer than a number\n")
        let file = try ProcessFile(path: path)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "\(getpid())\n")
        #expect(throws: ProcessFile.Failure.self) { try ProcessFile(path: path) }
        file.remove()
        #expect(access(path, F_OK) != 0)
    }

    @Test(arguments: [
        ("info", "info"), ("WARN", "warning"), ("err", "error"), ("dbg", "debug"), ("critical", "critical"),
    ])
    func levels(_ name: String, _ level: String) { #expect(LogOutput.level(named: name)?.rawValue == level) }

    @Test func noSuchLevel() { #expect(LogOutput.level(named: "loud") == nil) }

    @Test func notifications() throws {
        let scratch = Scratch()
        let receiver = try DatagramReceiver(scratch.file("notify"))
        let notifier = ServiceNotifier(
            environment: [
                "NOTIFY_SOCKET": scratch.file("notify"), "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "\(getpid())",
            ])
        #expect(notifier.watchdogInterval == 2)
        notifier.ready(status: "Running")
        #expect(receiver.next() == "READY=1\nSTATUS=Running\nMAINPID=\(getpid())")
        notifier.reloading()
        #expect(receiver.next().hasPrefix("RELOADING=1\nMONOTONIC_USEC="))
        notifier.watchdog()
        #expect(receiver.next() == "WATCHDOG=1")
        notifier.stopping()
        #expect(receiver.next().hasPrefix("STOPPING=1"))
        // Without a manager, or with one that does not listen, nothing happens.
        ServiceNotifier(environment: [:]).ready(status: "")
        ServiceNotifier(environment: ["NOTIFY_SOCKET": scratch.file("nobody")]).ready(status: "")
        #expect(ServiceNotifier(environment: ["WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"]).watchdogInterval == nil)
    }

    @Test func controlThreadKeepsOrder() {
        let thread = ControlThread()
        let order = Order()
        for i in 0..<1000 { thread.submit { order.append(i) } }
        #expect(thread.wait { order.values.count } == 1000)
        thread.stop()
        thread.submit { order.append(-1) }
        #expect(order.values == Array(0..<1000))
    }

    @Test func controlThreadRepeats() {
        let thread = ControlThread()
        let done = DispatchSemaphore(value: 0)
        thread.every(seconds: 0.001) { done.signal() }
        for _ in 0..<3 { done.wait() }
        thread.stop()
    }

    private final class Order: @unchecked Sendable {
        private(set) var values: [Int] = []
        func append(_ value: Int) { values.append(value) }
    }
}
