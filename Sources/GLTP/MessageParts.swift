/// One part of a multipart message: bytes, and the object that keeps them.
public struct MessagePart: @unchecked Sendable {
  /// Keeps the bytes alive; nil where the caller does, for the length of a call. A transport that sends without copying
  /// retains it until ZeroMQ is done with the bytes.
  public let owner: AnyObject?
  /// What travels. Read only, and valid as long as `owner` is held.
  public let bytes: UnsafeRawBufferPointer

  /// A part of memory that `owner` keeps alive.
  public init(owner: AnyObject?, bytes: UnsafeRawBufferPointer) {
    self.owner = owner
    self.bytes = bytes
  }

  fileprivate static var none: MessagePart {
    MessagePart(owner: nil, bytes: UnsafeRawBufferPointer(start: nil, count: 0))
  }
}

/// The parts of one message, at most ten, held without allocation. Copying copies references, not bytes.
public struct MessageParts: Sendable {
  private typealias Ten = (
    MessagePart, MessagePart, MessagePart, MessagePart, MessagePart,
    MessagePart, MessagePart, MessagePart, MessagePart, MessagePart
  )
  private var storage: Ten = (.none, .none, .none, .none, .none, .none, .none, .none, .none, .none)
  /// Parts held, 0 to 10.
  public private(set) var count = 0

  /// No parts.
  public init() {}

  /// Adds a part. Returns false, and drops it, where there are ten: no message has more, so close the session.
  @discardableResult
  public mutating func append(_ part: MessagePart) -> Bool {
    guard count < CodecLimits.parts else { return false }
    count += 1
    self[count - 1] = part
    return true
  }

  /// Forgets all parts.
  public mutating func removeAll() {
    for index in 0..<count { self[index] = .none }
    count = 0
  }

  /// - Precondition: `index` is below `count`.
  public subscript(_ index: Int) -> MessagePart {
    get {
      precondition(index >= 0 && index < count)
      return withUnsafePointer(to: storage) { pointer in
        UnsafeRawPointer(pointer).assumingMemoryBound(to: MessagePart.self)[index]
      }
    }
    set {
      precondition(index >= 0 && index < count)
      withUnsafeMutablePointer(to: &storage) { pointer in
        UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: MessagePart.self)[index] = newValue
      }
    }
  }

  /// Bytes of all parts.
  public var byteCount: Int { (0..<count).reduce(0) { $0 + self[$1].bytes.count } }
}
