import Base
import NIOCore
import NIOPosix
import NIOSSL

/// One check of one target: a socket from its opening to its closing. Event loop thread only.
///
/// It ends by the answer, by an error, by its timeout or by `cancel`, whichever is first, and tells so when the socket
/// is closed: probes that have not told yet are at least as many as sockets.
final class HealthProbe: @unchecked Sendable {
    typealias Done = (HealthResult) -> Void

    let target: HealthTarget
    private let loop: any EventLoop
    private let security: HealthSecurity
    private let done: Done
    private let gate = HealthGate()
    private var timer: Scheduled<Void>?
    private var result: HealthResult?
    private var hasTold = false

    init(_ target: HealthTarget, _ loop: any EventLoop, _ security: HealthSecurity, _ done: @escaping Done) {
        self.target = target
        self.loop = loop
        self.security = security
        self.done = done
    }

    func start() {
        let opening: EventLoopFuture<any Channel>
        do {
            let remote = try SocketAddress(target.address, port: target.checkedPort)
            let local = try target.check.source.map { try SocketAddress($0, port: 0) }
            timer = loop.scheduleTask(in: .milliseconds(Int64(target.check.timeout))) { self.timeOut() }
            opening = target.check.kind == .udp ? openDatagram(remote, local) : openStream(remote, local)
        } catch {
            conclude(.inconclusive("\(error)"))
            return tell()
        }
        opening.hop(to: loop).whenComplete { outcome in
            switch outcome {
            case .failure(let error):
                self.failed(error)
                // There may be a channel on its way to being closed, which tells, or none was ever made.
                if self.gate.channel == nil { self.tell() }
            case .success(let channel):
                if self.target.check.kind == .udp { self.send(on: channel) }
            }
        }
    }

    func cancel() { conclude(.inconclusive("cut off")) }

    // Opening

    private func openStream(_ remote: SocketAddress, _ local: SocketAddress?) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: loop)
            // The probe's own timer is the one that counts.
            .connectTimeout(.milliseconds(Int64(target.check.timeout) + 1000))
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 2048))
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.prepare(channel, try self.streamHandlers()) }
            }
        return (local.map { bootstrap.bind(to: $0) } ?? bootstrap).connect(to: remote)
    }

    private func streamHandlers() throws -> [any ChannelHandler] {
        let check = target.check
        guard check.kind?.isHTTP == true else { return [TCPHealthHandler(self)] }
        let handler = HTTPHealthHandler(self)
        guard check.kind == .https else { return [handler] }
        let context = try security.context(verifies: check.verifiesCertificate)
        return [try NIOSSLClientHandler(context: context, serverHostname: serverName), handler]
    }

    /// The name for TLS, which is never an address (RFC 6066, section 3) and has no port behind it.
    private var serverName: String? {
        guard let host = target.check.host, !host.hasPrefix("["), HealthAddress(host) == nil,
            let name = host.split(separator: ":").first, HealthAddress(String(name)) == nil
        else { return nil }
        return String(name)
    }

    /// Connected, so that only the target can answer, and the kernel tells when it refuses.
    private func openDatagram(_ remote: SocketAddress, _ local: SocketAddress?) -> EventLoopFuture<any Channel> {
        let bootstrap = DatagramBootstrap(group: loop)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 2048))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try self.prepare(channel, [UDPHealthHandler(self)]) }
            }
        guard let local else { return bootstrap.connect(to: remote) }
        return bootstrap.bind(to: local).flatMap { channel in channel.connect(to: remote).map { channel } }
    }

    private func prepare(_ channel: any Channel, _ handlers: [any ChannelHandler]) throws {
        gate.channel = channel
        channel.closeFuture.whenComplete { _ in
            self.conclude(.failure("connection closed"))
            self.tell()
        }
        // Ended while it was being opened: the bootstrap closes what it cannot set up.
        guard result == nil else { throw ChannelError.ioOnClosedChannel }
        try channel.pipeline.syncOperations.addHandler(gate)
        try channel.pipeline.syncOperations.addHandlers(handlers)
    }

    private func send(on channel: any Channel) {
        guard result == nil else { return }
        channel.writeAndFlush(ByteBuffer(bytes: target.check.payload)).whenFailure { self.failed($0) }
    }

    // Ending

    func failed(_ error: any Error) { conclude(HealthFailure.result(of: error, target)) }

    private func timeOut() {
        let time = HealthText.show(time: target.check.timeout)
        if target.check.kind == .udp, target.check.takesSilence {
            conclude(.success("no refusal within \(time)"))
        } else {
            conclude(.timeout("no answer within \(time)"))
        }
    }

    /// The first result is the one that counts; the socket goes.
    func conclude(_ result: HealthResult) {
        guard self.result == nil else { return }
        self.result = result
        timer?.cancel()
        timer = nil
        gate.close()
    }

    private func tell() {
        guard !hasTold else { return }
        hasTold = true
        done(result ?? .failure("connection closed"))
    }
}

/// The end of a probe's pipeline that is next to the socket. Closing through it passes TLS by, which would wait
/// seconds for the goodbye of a peer that may be dead.
final class HealthGate: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = NIOAny

    var channel: (any Channel)?
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func close() {
        if let context { context.close(promise: nil) } else { channel?.close(promise: nil) }
    }
}
