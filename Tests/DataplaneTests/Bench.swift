import Base
import Dataplane
import Flow
import Foundation
import FrameSupport
import Logging
import Pipeline
import Ports

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// A switch with one bridge, `br0`, and a directory for the files of its ports.
final class Bench {
    let device: Switch
    private let directory = NSTemporaryDirectory() + "weft-dataplane-" + UUID().uuidString.prefix(8)

    init(workers: Int = 1, failMode: BridgeState.FailMode = .secure) throws {
        var options = Switch.Options()
        options.workers = workers
        options.isTimeVirtual = true
        device = try Switch(options, log: quiet)
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        var settings = BridgeSettings()
        settings.failMode = failMode
        try device.model.addBridge("br0", settings, now: 1)
        if let local = device.model.state.bridge(named: "br0")?.ports[.local] {
            try device.attach(try Port.open(name: "br0", type: "null", options: [:], log: quiet), to: local)
        }
    }

    deinit {
        device.stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// A port that swallows what it is sent.
    @discardableResult
    func null(_ name: String, number: UInt32? = nil) throws -> PortIndex {
        try attach(name, .null, [:], number: number)
    }

    /// A port that brings `frames`, over and over if it loops.
    @discardableResult
    func source(_ name: String, _ frames: [[UInt8]], loop: Bool = false, queues: Int = 1) throws -> PortIndex {
        let path = directory + "/" + name
        let writer = try PcapWriter(port: name, path: path)
        for frame in frames { _ = frame.withUnsafeBytes { writer.write($0.baseAddress!, $0.count, time: 1) } }
        _ = writer.flush()
        return try attach(
            name, .pcap, ["rx": path, "loop": loop ? "yes" : "no", "queues": "\(queues)", "mtu": "9000"])
    }

    private func attach(
        _ name: String, _ type: PortType, _ options: [String: String], number: UInt32? = nil
    ) throws -> PortIndex {
        let port = try Port.open(name: name, type: type.rawValue, options: options, log: quiet)
        let index = try device.model.addPort(
            PortRequest(name, number: number.map { PortNumber($0) }), to: "br0")
        try device.attach(port, to: index)
        return index
    }

    func remove(_ index: PortIndex) throws {
        device.detach(index)
        try device.model.deletePort(index)
    }

    func flow(_ text: String, as command: FlowSpec.Command = .add) throws {
        let spec = try FlowParser().parse(text, as: command)
        try device.model.apply(FlowMod(spec), to: "br0", now: device.clock.milliseconds)
    }

    /// Runs a switch that was not started until its sources have nothing left.
    func drain() {
        while device.poll() > 0 {}
    }

    /// Lets a started switch receive `count` more frames.
    func receive(_ count: UInt64) {
        let goal = device.receivedFrames + count
        while device.receivedFrames < goal { sched_yield() }
    }

    /// Frames whose flows differ in their UDP ports.
    static func frames(_ count: Int, length: Int = 18) -> [[UInt8]] {
        (0..<count).map { number in
            let source = UInt32(0x0a00_0000 + number)
            let payload = udp(
                .v4(source, 0x0a63_0001), UInt16(truncatingIfNeeded: 1024 + number), 53,
                payload: Array(repeating: 0xa5, count: length))
            return ethernet(
                dst: 0x02_0000_0000_02, src: 0x02_0000_0001_00 + UInt64(number % 16), type: 0x0800,
                ipv4(source, 0x0a63_0001, ipProtocol: 17, payload))
        }
    }
}
