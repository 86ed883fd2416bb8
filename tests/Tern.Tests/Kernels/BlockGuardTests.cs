using Tern.Kernels;
using Tern.Numerics;

namespace Tern.Tests.Kernels;

/// <summary>No row of the block types reads or writes outside of its operands: a read beyond them ends the test process.</summary>
public sealed unsafe class BlockGuardTests
{
    public static TheoryData<string> Names => [.. BlockRows.Runnable.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Rows_stay_inside_their_operands(string name)
    {
        KernelRow row = BlockRows.Find(name);
        BlockType type = BlockRows.TypeOf(row);
        foreach (bool atEnd in (bool[])[true, false])
        {
            foreach (int columns in BlockRows.Columns(type))
            {
                foreach ((int rows, int tokens) in ((int, int)[])[(5, 3), (16, 1), (33, 2)])
                {
                    using BlockProblem problem = new(type, rows, columns, tokens, seed: columns, atEnd);
                    float[] outputs = problem.Run(row, 0, rows);
                    Assert.DoesNotContain(outputs, float.IsNaN);
                }
            }
        }
    }
}
