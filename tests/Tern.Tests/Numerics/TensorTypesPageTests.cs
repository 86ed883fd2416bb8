using System.Globalization;
using Tern.Numerics;

namespace Tern.Tests.Numerics;

/// <summary>The table of docs/tensor-types.md says what the code does.</summary>
public sealed class TensorTypesPageTests
{
    [Fact]
    public void The_table_lists_every_type_with_its_numbers()
    {
        Dictionary<string, string[]> rows = File.ReadLines(Path.Combine(Repository.Root, "docs", "tensor-types.md"))
            .SkipWhile(line => !line.StartsWith("| name | id |", StringComparison.Ordinal)).Skip(2)
            .TakeWhile(line => line.StartsWith('|'))
            .Select(line => line.Split('|', StringSplitOptions.TrimEntries)[1..^1])
            .ToDictionary(cells => cells[0]);

        Assert.Equal(TensorType.All.Select(type => type.Name).Order(), rows.Keys.Order());
        foreach (TensorType type in TensorType.All)
        {
            string[] cells = rows[type.Name];
            Assert.Equal(type.GgufId, int.Parse(cells[1], CultureInfo.InvariantCulture));
            Assert.Equal(type.BlockSize, int.Parse(cells[2], CultureInfo.InvariantCulture));
            Assert.Equal(type.BlockBytes, int.Parse(cells[3], CultureInfo.InvariantCulture));
            Assert.Equal(8.0 * type.BlockBytes / type.BlockSize, double.Parse(cells[4], CultureInfo.InvariantCulture));
            Assert.Equal(type.CanEncode ? "read, written" : "read", cells[7]);
        }
    }
}
