using System.Globalization;
using Tern.Files;
using Tern.Kernels;
using Tern.Numerics;

namespace Tern.Models;

/// <summary>Hands out tensors by name and remembers everything that is wrong, so that one error can say all of it.</summary>
internal sealed class TensorBinder(ModelSource file)
{
    private const int NamesShown = 12;

    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly List<string> _missing = [];
    private readonly List<string> _misshapen = [];

    public bool Has(string name) => file.Tensors.ContainsKey(name);

    /// <summary>The tensor of a [rows, columns] matrix.</summary>
    public Tensor Matrix(string name, int rows, int columns) => Find(name, rows, columns, matrix: true)!;

    /// <summary>A vector of finite floats.</summary>
    public FloatMatrix Norm(string name, int count)
    {
        var vector = new FloatMatrix(1, count);
        if (Find(name, 1, count, matrix: false) is not { } tensor)
            return vector;

        Span<float> values = vector.Row(0);
        tensor.DecodeRow(0, values);
        for (int i = 0; i < values.Length; i++)
            if (!float.IsFinite(values[i]))
                throw tensor.Error(ErrorKind.Semantic, 0, string.Create(CultureInfo.InvariantCulture, $"element {i} is {values[i]}; norm weights must be finite numbers: the file is damaged"));
        return vector;
    }

    /// <summary>Throws one error if anything was missing, misshapen or would change the mathematics unheard; warns of the rest.</summary>
    public void Finish(Action<string> warn)
    {
        List<string> unused = [.. file.Tensors.Keys.Where(name => !_used.Contains(name)).Order(StringComparer.Ordinal)];
        List<string> biases = unused.FindAll(name => name.EndsWith(".bias", StringComparison.Ordinal));
        var problems = new List<string>();
        if (_missing.Count > 0)
            problems.Add($"{_missing.Count} missing: {List(_missing)}");
        if (_misshapen.Count > 0)
            problems.Add($"{_misshapen.Count} of the wrong shape: {List(_misshapen)}");
        if (_missing.Count > 0 && unused.Count > 0)
            problems.Add($"{unused.Count} not expected: {List(unused)}");
        if (problems.Count > 0)
            throw FileError.Whole(ErrorKind.Semantic, file.Metadata.Path, "tensors", $"they do not fit the architecture '{file.Metadata.String("general.architecture")}': {string.Join(", ", problems)}", "take the file from another source or convert the checkpoint again");
        if (biases.Count > 0)
            throw FileError.At(ErrorKind.Unsupported, file.Metadata.Path, file.Tensors[biases[0]].FileOffset, $"tensor {FileError.Quote(biases[0])}", $"linear layers with biases are not supported ({List(biases)})", "no 1-bit model has them: use another model");
        if (unused.Count > 0)
            warn($"{unused.Count} tensors are not used: {List(unused)}");
    }

    private static string List(List<string> names) =>
        string.Join(", ", names.Take(NamesShown).Select(FileError.Quote)) + (names.Count > NamesShown ? $" and {names.Count - NamesShown} more" : "");

    private Tensor? Find(string name, int rows, int columns, bool matrix)
    {
        if (!file.Tensors.TryGetValue(name, out Tensor? tensor))
        {
            _missing.Add(name);
            return null;
        }

        _used.Add(name);
        if (tensor.Columns == columns && tensor.Rows == rows && (matrix || tensor.Shape.Count == 1 || tensor.Rows == 1))
            return tensor;

        string found = string.Join("x", tensor.Shape);
        _misshapen.Add(matrix ? $"{name} is {found}, must be {columns}x{rows}" : $"{name} is {found}, must be {columns}");
        return null;
    }
}
