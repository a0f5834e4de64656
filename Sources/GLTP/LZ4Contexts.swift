import CLZ4

/// liblz4's state for compressing, made once and reused: a frame then allocates nothing.
struct LZ4Compressor: ~Copyable {
  /// Nil where there was no memory for it: nothing is compressed then.
  private let context: OpaquePointer?
  private var preferences: LZ4F_preferences_t

  init() {
    var context: OpaquePointer?
    let code = LZ4F_createCompressionContext(&context, UInt32(LZ4F_VERSION))
    self.context = LZ4F_isError(code) == 0 ? context : nil
    preferences = LZ4F_preferences_t()
    // 64 KiB blocks decompress straight into their place; independent blocks and autoflush need no buffers of LZ4's own.
    preferences.frameInfo.blockSizeID = LZ4F_max64KB
    preferences.frameInfo.blockMode = LZ4F_blockIndependent
    preferences.frameInfo.contentChecksumFlag = LZ4F_noContentChecksum
    preferences.autoFlush = 1
  }

  deinit { LZ4F_freeCompressionContext(context) }

  /// The most bytes that a frame of so many can have.
  mutating func bound(_ rawBytes: Int) -> Int { LZ4F_compressFrameBound(rawBytes, &preferences) }

  /// Compresses into one frame and returns its size, nil where liblz4 fails.
  ///
  /// - Parameter target: has `bound(source.count)` bytes.
  mutating func compress(_ source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) -> Int? {
    guard let context, var position = target.baseAddress else { return nil }
    let end = position + target.count
    preferences.frameInfo.contentSize = UInt64(source.count)
    var options = LZ4F_compressOptions_t()
    options.stableSrc = 1
    let header = LZ4F_compressBegin(context, position, end - position, &preferences)
    guard LZ4F_isError(header) == 0 else { return nil }
    position += header
    let blocks = LZ4F_compressUpdate(context, position, end - position, source.baseAddress, source.count, &options)
    guard LZ4F_isError(blocks) == 0 else { return nil }
    position += blocks
    let footer = LZ4F_compressEnd(context, position, end - position, &options)
    guard LZ4F_isError(footer) == 0 else { return nil }
    return position + footer - target.baseAddress.unsafelyUnwrapped
  }
}

/// liblz4's state for decompressing, made once and reused.
struct LZ4Decompressor: ~Copyable {
  /// Nil where there was no memory for it: nothing can be decompressed then.
  private let context: OpaquePointer?

  init() {
    var context: OpaquePointer?
    let code = LZ4F_createDecompressionContext(&context, UInt32(LZ4F_VERSION))
    self.context = LZ4F_isError(code) == 0 ? context : nil
  }

  deinit { LZ4F_freeDecompressionContext(context) }

  /// Decompresses one frame, whose header has been checked, into exactly `target.count` bytes.
  ///
  /// - Throws: `.lz4Block` for blocks that are not LZ4, `.lz4Output` for more or less output, `.lz4Truncated` for a frame
  ///   that does not end, `.lz4Trailing` for bytes behind it; `.decodeBudget` without memory for liblz4's state.
  mutating func decompress(
    _ frame: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(FrameError) {
    guard let context else { throw FrameError(.decodeBudget, found: target.count) }
    LZ4F_resetDecompressionContext(context)
    var produced = 0
    var consumed = 0
    while true {
      var outputBytes = target.count - produced
      var inputBytes = frame.count - consumed
      let hint = LZ4F_decompress(
        context, target.baseAddress.unsafelyUnwrapped + produced, &outputBytes,
        frame.baseAddress.unsafelyUnwrapped + consumed, &inputBytes, nil)
      if LZ4F_isError(hint) != 0 {
        // The only size that liblz4 checks at the end of a frame is the content's.
        let isSize = String(cString: LZ4F_getErrorName(hint)) == "ERROR_frameSize_wrong"
        throw FrameError(isSize ? .lz4Output : .lz4Block, found: consumed)
      }
      produced += outputBytes
      consumed += inputBytes
      if hint == 0 { break }
      if outputBytes == 0 && inputBytes == 0 {
        guard consumed == frame.count else { throw FrameError(.lz4Output, found: produced, expected: target.count) }
        throw FrameError(.lz4Truncated, found: consumed)
      }
    }
    guard produced == target.count else { throw FrameError(.lz4Output, found: produced, expected: target.count) }
    guard consumed == frame.count else { throw FrameError(.lz4Trailing, found: consumed, expected: frame.count) }
  }
}
