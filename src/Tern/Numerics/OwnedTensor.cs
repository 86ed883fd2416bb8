using Tern.Machine;

namespace Tern.Numerics;

/// <summary>A float32 vector in memory of its own that is a tensor to everybody else: what a checkpoint says in numbers and GGUF as a tensor.</summary>
internal sealed unsafe class OwnedTensor : IDisposable
{
    private readonly NativeBuffer<float> _values;

    /// <param name="name">The tensor's name.</param>
    /// <param name="values">Its contents.</param>
    /// <param name="path">The file that the values come from, for error messages.</param>
    public OwnedTensor(string name, ReadOnlySpan<float> values, string path)
    {
        _values = new NativeBuffer<float>(values.Length);
        values.CopyTo(_values.Span);
        Tensor = new Tensor
        {
            Name = name,
            Type = TensorType.F32,
            Shape = [values.Length],
            Data = (byte*)_values.Pointer,
            ByteCount = values.Length * sizeof(float),
            Path = path,
            FileOffset = 0,
        };
    }

    public Tensor Tensor { get; }

    public void Dispose() => _values.Dispose();
}
