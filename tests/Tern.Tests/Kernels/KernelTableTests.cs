using Tern.Kernels;
using Tern.Machine;

namespace Tern.Tests.Kernels;

public sealed class KernelTableTests
{
    public static TheoryData<string> RowNames => [.. KernelTable.All.Select(row => row.Name)];

    [Fact]
    public void Names_are_unique() => Assert.Equal(KernelTable.All.Count, KernelTable.All.Select(row => row.Name).Distinct().Count());

    /// <summary>Otherwise a processor without that instruction set could not run the weights at all.</summary>
    [Theory]
    [MemberData(nameof(RowNames))]
    public void Every_layout_has_a_plain_row_of_the_same_form(string name)
    {
        KernelRow row = KernelTable.All.Single(r => r.Name == name);
        Assert.Contains(KernelTable.All, r => r.Needs == Isa.None && IsSameSource(r.Layout, row.Layout) && r.Form == row.Form);
    }

    private static bool IsSameSource(WeightLayout plain, WeightLayout layout) =>
        layout.Native is null ? plain.Name == layout.Name : plain.Native == layout.Native;

    [Theory]
    [MemberData(nameof(RowNames))]
    public void A_row_is_forced_by_name_or_refused(string name)
    {
        KernelRow row = KernelTable.All.Single(r => r.Name == name);
        if (!KernelChoice.Best.Allows(row))
        {
            TernException thrown = Assert.Throws<TernException>(() => KernelChoice.Parse(name));
            Assert.Equal(ErrorKind.Unsupported, thrown.Kind);
            return;
        }

        KernelChoice choice = KernelChoice.Parse(name);
        Assert.Same(row, KernelTable.Pick(choice, r => r.Layout.Name == row.Layout.Name));
    }

    [Fact]
    public void A_forced_row_leaves_other_layouts_their_best()
    {
        KernelChoice choice = KernelChoice.Parse("ternary-scalar");
        Assert.Equal("decode-row", KernelTable.Pick(choice, row => row.Layout == WeightLayout.Decoded).Name);
        Assert.Equal(
            KernelTable.Pick(KernelChoice.Best, row => row.Layout == WeightLayout.TernaryGroups).Name,
            KernelTable.Pick(choice, row => row.Layout == WeightLayout.TernaryGroups).Name);
    }

    [Theory]
    [InlineData("scalar", "ternary-scalar")]
    [InlineData("avx2", "ternary-avx2")]
    [InlineData("avx-vnni", "ternary-avx-vnni")]
    [InlineData("avx512", "ternary-avx512")]
    [InlineData("arm", "ternary-arm")]
    public void A_family_takes_its_own_rows_or_is_refused(string family, string row)
    {
        if (!KernelChoice.Best.Allows(KernelTable.All.Single(r => r.Name == row)))
        {
            TernException thrown = Assert.Throws<TernException>(() => KernelChoice.Parse(family));
            Assert.Equal(ErrorKind.Unsupported, thrown.Kind);
            return;
        }

        Assert.Equal(row, KernelTable.Pick(KernelChoice.Parse(family), r => r.Layout == WeightLayout.Ternary).Name);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("best")]
    public void No_name_is_the_best(string? name) => Assert.Same(KernelChoice.Best, KernelChoice.Parse(name));

    [Fact]
    public void An_unknown_name_lists_the_known_ones()
    {
        TernException thrown = Assert.Throws<TernException>(() => KernelChoice.Parse("avx9000"));
        Assert.Equal(ErrorKind.Request, thrown.Kind);
        foreach (string known in new[] { "best", "scalar", "avx2", "avx-vnni", "avx512", "arm", "decode-row", "ternary-avx512" })
            Assert.Contains(known, thrown.Message, StringComparison.Ordinal);
    }
}
