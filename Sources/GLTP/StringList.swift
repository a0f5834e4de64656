/// A list of catalogue strings: u16 length and UTF-8 for each, in one u8 tensor (gltp-1.md 4.3). Checked when it is
/// decoded, so that reading cannot fail.
public struct StringList: Sendable, Equatable {
  /// The list as it travels: u8, rank 1.
  public let tensor: WireTensor
  /// Strings in the list.
  public let count: Int

  /// Checks a peer's list.
  ///
  /// - Throws: `.stringList` with the offset of the first string that is wrong.
  init(checking tensor: WireTensor) throws(FrameError) {
    self.tensor = tensor
    count = try tensor.withUnsafeBytes { bytes throws(FrameError) in
      var offset = 0
      var count = 0
      while offset < bytes.count {
        guard bytes.count - offset >= 2 else { throw FrameError(.stringList, found: offset) }
        let length = Int(bytes.load(offset, UInt16.self))
        guard (1...CodecLimits.stringBytes).contains(length), length <= bytes.count - offset - 2,
          bytes.slice(offset + 2, length).isUTF8, count < CodecLimits.strings
        else { throw FrameError(.stringList, found: offset) }
        offset += 2 + length
        count += 1
      }
      return count
    }
  }

  fileprivate init(tensor: WireTensor, count: Int) {
    self.tensor = tensor
    self.count = count
  }

  /// Calls `body` with the bytes of each string in turn; allocates nothing.
  public func forEach<Failure: Error>(
    _ body: (_ index: Int, _ text: UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try tensor.withUnsafeBytes { bytes throws(Failure) in
      var offset = 0
      for index in 0..<count {
        let length = Int(bytes.load(offset, UInt16.self))
        try body(index, bytes.slice(offset + 2, length))
        offset += 2 + length
      }
    }
  }

  /// The same list, not to be compressed when it is sent: between machines that are near one another that takes longer
  /// than the bytes do.
  package var stored: StringList {
    var tensor = tensor
    tensor.compression = .stored
    return StringList(tensor: tensor, count: count)
  }

  /// The list as strings.
  public var strings: [String] {
    var strings: [String] = []
    strings.reserveCapacity(count)
    forEach { _, text in strings.append(String(decoding: text, as: UTF8.self)) }
    return strings
  }
}

extension BufferPool {
  /// A list of our strings.
  ///
  /// - Throws: `.stringList` where there are more than 65,536, or one is empty or has more than 512 bytes.
  public func strings(_ id: TensorID, _ strings: some Collection<String>) throws(FrameError) -> StringList {
    try self.strings(id, Array(strings))
  }

  /// A list of our strings. Walking an array allocates nothing, which walking just any collection does.
  ///
  /// - Throws: as for any collection.
  public func strings(_ id: TensorID, _ strings: [String]) throws(FrameError) -> StringList {
    var byteCount = 0
    for string in strings {
      guard (1...CodecLimits.stringBytes).contains(string.utf8.count) else {
        throw FrameError(.stringList, found: string.utf8.count, expected: CodecLimits.stringBytes)
      }
      byteCount += 2 + string.utf8.count
    }
    guard strings.count <= CodecLimits.strings else {
      throw FrameError(.stringList, found: strings.count, expected: CodecLimits.strings)
    }
    let tensor = tensor(id, .u8, WireShape(byteCount))
    tensor.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      var offset = 0
      for string in strings {
        let length = string.utf8.count
        base.store(UInt16(length), offset)
        string.utf8.copy(to: base + offset + 2)
        offset += 2 + length
      }
    }
    return StringList(tensor: tensor, count: strings.count)
  }
}

extension String.UTF8View {
  /// Writes all bytes to memory that has room for them.
  fileprivate func copy(to target: UnsafeMutableRawPointer) {
    let isCopied: Void? = withContiguousStorageIfAvailable { bytes in
      guard let source = bytes.baseAddress else { return }
      target.copyMemory(from: source, byteCount: bytes.count)
    }
    guard isCopied == nil else { return }
    for (offset, byte) in enumerated() { target.store(byte, offset) }
  }
}
