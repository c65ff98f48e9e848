import Logging
import NIOCore

/// One client of the control socket. Event loop thread only.
///
/// At most one request of a client is in work. A long answer (`AnswerSteps`) is made piece by piece, each when the last
/// one has left. Nothing more is read from it until the answer has left for the
/// kernel, so a client that never reads stops being read, and its requests wait in its own socket buffer.
final class ControlConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let shared: ControlServer.SharedState
    private var context: ChannelHandlerContext?
    private var framer: RequestFramer
    /// Read, but not looked at.
    private var input = ByteBuffer()
    /// A request is in work, or an answer has not left yet.
    private var isBusy = false
    private var hasEnded = false
    private var isClosing = false
    /// Bytes of the request in work or of the answer that has not left.
    private var inWork = 0
    /// What the memory budget was told.
    private var held = 0

    init(_ shared: ControlServer.SharedState) {
        self.shared = shared
        framer = RequestFramer(maximumLength: shared.limits.requestBytes)
    }

    func channelActive(context: ChannelHandlerContext) {
        guard shared.connections.count < shared.limits.connections else {
            shared.logger.warning("control socket: refused a client, \(shared.connections.count) are connected")
            context.close(promise: nil)
            return
        }
        self.context = context
        shared.connections[ObjectIdentifier(self)] = self
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.context = nil
        _ = shared.budget.change(from: held, to: 0)
        held = 0
        shared.remove(self)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if input.readableBytes == 0 { input = bytes } else { input.writeBuffer(&bytes) }
        advance()
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !isBusy, !hasEnded { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed {
            hasEnded = true
            advance()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        shared.logger.debug("control socket: client lost: \(error)")
        context.close(promise: nil)
    }

    /// Closes once nothing is in work.
    func closeWhenIdle() {
        isClosing = true
        if !isBusy { context?.close(promise: nil) }
    }

    /// Looks at what has been read until a request goes into work or nothing is left.
    private func advance() {
        while !isBusy, !isClosing, input.readableBytes > 0 {
            var used = 0
            let event = input.withUnsafeReadableBytes { framer.next($0, &used) }
            input.moveReaderIndex(forwardBy: used)
            switch event {
            case nil: break
            case .failure(let message)?: send(Response(id: .null, error: message).bytes)
            case .object(let bytes)?: start(bytes)
            }
        }
        if input.readableBytes == 0 { input = ByteBuffer() }
        account()
        if !isBusy, hasEnded, input.readableBytes == 0 {
            if !framer.isBetweenObjects, !isClosing {
                framer = RequestFramer(maximumLength: 0)
                isClosing = true
                send(Response(id: .null, error: "connection ended in the middle of a request").bytes)
            } else {
                context?.close(promise: nil)
            }
        }
    }

    private func start(_ bytes: [UInt8]) {
        isBusy = true
        inWork = bytes.count
        guard let loop = context?.eventLoop else { return }
        let execute = shared.execute
        // Parsing and formatting may take long, too; both are the control thread's.
        shared.thread.submit {
            let answer: Response
            do throws(Request.Malformed) {
                answer = execute(try Request(parsing: bytes))
            } catch {
                answer = Response(id: error.id, error: error.message)
            }
            let id = answer.id
            if let steps = answer.steps {
                self.makeStep(AnswerStream(id: id, steps), loop)
                return
            }
            let output = answer.bytes
            loop.execute { self.finish(output, id) }
        }
    }

    /// One step of a long answer. Control thread.
    private func makeStep(_ stream: AnswerStream, _ loop: any EventLoop) {
        let (output, isLast) = stream.step()
        loop.execute { isLast ? self.send(output) : self.sendPiece(output, stream, loop) }
    }

    /// Goes on with the answer when a piece of it has left, behind what else the control thread has to do by then.
    private func sendPiece(_ output: [UInt8], _ stream: AnswerStream, _ loop: any EventLoop) {
        guard let context else { return }
        let thread = shared.thread
        guard !output.isEmpty else { return thread.submit { self.makeStep(stream, loop) } }
        inWork = output.count
        account()
        let promise = loop.makePromise(of: Void.self)
        promise.futureResult.whenSuccess { thread.submit { self.makeStep(stream, loop) } }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: output)), promise: promise)
    }

    private func finish(_ output: [UInt8], _ id: JSONValue) {
        inWork = output.count
        if account() {
            send(output)
        } else {
            inWork = 0
            let count = output.count
            send(Response(id: id, error: "answer of \(count) bytes withheld: too much waits to be read").bytes)
        }
    }

    private func send(_ output: [UInt8]) {
        isBusy = true
        inWork = output.count
        guard let context else { return }
        let promise = context.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenComplete { _ in self.sent() }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: output)), promise: promise)
    }

    private func sent() {
        isBusy = false
        inWork = 0
        guard let context else { return }
        guard !isClosing else {
            context.close(promise: nil)
            return
        }
        advance()
        if !isBusy, !hasEnded { self.context?.read() }
    }

    /// Tells the budget what this connection holds; where that is too much, a half received request is let go
    /// with the connection.
    @discardableResult private func account() -> Bool {
        let now = framer.bufferedCount + input.readableBytes + inWork
        if shared.budget.change(from: held, to: now) {
            held = now
            return true
        }
        if framer.bufferedCount > 0, !isBusy, !isClosing {
            isClosing = true
            framer = RequestFramer(maximumLength: 0)
            input = ByteBuffer()
            send(Response(id: .null, error: "too many large requests at once, try again").bytes)
        }
        return false
    }
}
