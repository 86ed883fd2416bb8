using System.Runtime.InteropServices;

namespace Tern.Training.Checkpoints;

/// <summary>Floats as the bytes of a file. Every system that the runtime supports here is little-endian, which the files are too.</summary>
internal static class Littles
{
    public static Span<byte> Bytes(Span<float> floats)
    {
        if (!BitConverter.IsLittleEndian)
            throw new TernException(ErrorKind.Unsupported, "checkpoints are read and written on little-endian systems only");
        return MemoryMarshal.AsBytes(floats);
    }
}
