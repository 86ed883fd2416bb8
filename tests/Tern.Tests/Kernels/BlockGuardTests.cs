namespace Tern.Tests.Kernels;

/// <summary>No row of the block types reads or writes outside of its operands: a read beyond them ends the test process.</summary>
public sealed unsafe class BlockGuardTests
{
    public static TheoryData<string> Names => [.. BlockRows.Runnable.Select(row => row.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void Rows_stay_inside_their_operands(string name)
    {
        BlockRow row = BlockRows.Runnable.Single(r => r.Name == name);
        foreach (bool atEnd in (bool[])[true, false])
        {
            foreach (int columns in BlockRows.Columns(row.Type))
            {
                using BlockProblem problem = new(row.Type, rows: 5, columns, tokens: 3, seed: columns, atEnd);
                float[] outputs = problem.Run(row, 0, 5);
                Assert.DoesNotContain(outputs, float.IsNaN);
            }
        }
    }
}
