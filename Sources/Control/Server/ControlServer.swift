import Logging
import NIOCore
import NIOPosix

/// The control socket: accepts clients and hands their requests, one at a time for each client, to the control thread.
public final class ControlServer: @unchecked Sendable {
    /// Runs one request, or begins it; called on the control thread.
    public typealias Execute = @Sendable (Request) -> Response

    private let file: ControlSocketFile
    private let group: MultiThreadedEventLoopGroup
    private let listener: any Channel
    private let shared: SharedState

    /// Opens the socket and serves it until `stop`.
    public init(
        path: String, limits: ControlLimits = ControlLimits(), thread: ControlThread, logger: Logger,
        execute: @escaping Execute
    ) throws(ControlSocketError) {
        file = try ControlSocketFile(path: path)
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let shared = SharedState(limits: limits, thread: thread, logger: logger, execute: execute)
        self.shared = shared
        do {
            listener = try ServerBootstrap(group: group)
                .childChannelOption(.autoRead, value: false)
                .childChannelOption(.maxMessagesPerRead, value: 1)
                .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 32 << 10))
                .childChannelOption(.allowRemoteHalfClosure, value: true)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(ControlConnection(shared))
                    }
                }
                .withBoundSocket(file.descriptor)
                .wait()
        } catch {
            file.remove()
            try? group.syncShutdownGracefully()
            throw ControlSocketError(description: "control socket \(path): \(error)")
        }
    }

    /// Accepts nobody any more, lets answers that are on their way out finish for a moment, closes all
    /// connections and removes the socket's file.
    public func stop() {
        file.remove()
        try? listener.close().wait()
        let loop = group.next()
        let drained = loop.makePromise(of: Void.self)
        loop.execute { self.shared.drain(drained, loop) }
        try? drained.futureResult.wait()
        try? group.syncShutdownGracefully()
    }

    /// What connections share; event loop thread only.
    final class SharedState: @unchecked Sendable {
        let limits: ControlLimits
        let thread: ControlThread
        let logger: Logger
        let execute: Execute
        var budget: MemoryBudget
        var connections: [ObjectIdentifier: ControlConnection] = [:]
        private var drained: EventLoopPromise<Void>?

        init(limits: ControlLimits, thread: ControlThread, logger: Logger, execute: @escaping Execute) {
            self.limits = limits
            self.thread = thread
            self.logger = logger
            self.execute = execute
            budget = MemoryBudget(limits)
        }

        func drain(_ promise: EventLoopPromise<Void>, _ loop: any EventLoop) {
            drained = promise
            for connection in Array(connections.values) { connection.closeWhenIdle() }
            finishDraining(force: false)
            loop.scheduleTask(in: .milliseconds(500)) { self.finishDraining(force: true) }
        }

        func remove(_ connection: ControlConnection) {
            connections[ObjectIdentifier(connection)] = nil
            finishDraining(force: false)
        }

        private func finishDraining(force: Bool) {
            guard connections.isEmpty || force, let promise = drained else { return }
            drained = nil
            promise.succeed(())
        }
    }
}
