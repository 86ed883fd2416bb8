using System.Buffers.Binary;
using System.Text;

namespace Tern.Tests.Files;

/// <summary>
/// Malformed and odd model files, each built in memory by one change to a good one.
/// </summary>
/// <param name="Name">Its name, the same as in the corpus under shared/malformed.</param>
/// <param name="Expect">REJECT_… with a kind, ACCEPT_… or what a later stage must say.</param>
/// <param name="ByReader">Whether opening the file decides it; otherwise loading the model or rendering its template does.</param>
/// <param name="Build">Makes the file from a copy of the good one.</param>
internal sealed record MalformedCase(string Name, string Expect, bool ByReader, Func<GgufImage, byte[]> Build);

/// <summary>The corpus. The good file is a bitnet-b1.58 model with I2_S linears and a gpt-2 vocabulary, such as the storyteller.</summary>
internal static class MalformedCorpus
{
    private const string Format = "REJECT_FORMAT";
    private const string Semantic = "REJECT_SEMANTIC";
    private const string Limit = "REJECT_LIMIT";
    private const string Unsupported = "REJECT_UNSUPPORTED";
    private const string Same = "ACCEPT_SAME";
    private const string Warn = "ACCEPT_WARN";

    private const string Tokens = "tokenizer.ggml.tokens";
    private const string Merges = "tokenizer.ggml.merges";
    private const string Query = "blk.0.attn_q.weight";

    public static IReadOnlyList<MalformedCase> All { get; } =
    [
        .. Headers(), .. Truncations(), .. KeyValues(), .. HyperParameters(), .. TensorInfos(), .. Data(), .. Vocabularies(), .. Templates(),
    ];

    private static IEnumerable<MalformedCase> Headers()
    {
        yield return Reader("hdr_empty_file", Format, _ => []);
        yield return Image("hdr_bad_magic", Format, i => i.Magic = "FUGG"u8.ToArray());
        yield return Image("hdr_legacy_ggjt", Unsupported, i => i.Magic = "tjgg"u8.ToArray());
        yield return Image("hdr_version_1", Unsupported, i => i.Version = 1);
        yield return Image("hdr_big_endian", Unsupported, i => i.Version = 0x03000000);
        yield return Image("hdr_n_tensors_2p40", Format, i => i.TensorCount = 1UL << 40);
        yield return Image("hdr_n_kv_minus1", Format, i => i.EntryCount = ulong.MaxValue);
        yield return Image("hdr_n_kv_plus1", Format, i => i.EntryCount = (ulong)i.Entries.Count + 1);
        yield return Image("hdr_n_tensors_plus1", Format, i => i.TensorCount = (ulong)i.Infos.Count + 1);
    }

    private static IEnumerable<MalformedCase> Truncations()
    {
        yield return Reader("trunc_in_header", Format, i => i.Build()[..15]);
        yield return Reader("trunc_in_token_array", Format, i =>
        {
            byte[] file = i.Build();
            return file[..(i.EntryStarts[Tokens] + 1000)];
        });
        yield return Reader("trunc_at_data_start", Format, i =>
        {
            byte[] file = i.Build();
            return file[..i.DataStart];
        });
        yield return Reader("trunc_last_byte", Format, i => i.Build()[..^1]);
    }

    private static IEnumerable<MalformedCase> KeyValues()
    {
        yield return Image("kv_key_len_minus1", Format, i => i.Entries[3].KeyLength = ulong.MaxValue);
        yield return Image("kv_key_len_gt_64k", Limit, i => i.Entries[3].Key = Filled(65_536, (byte)'k'));
        yield return Image("kv_key_invalid_utf8", Format, i => i.Entries[3].Key = [0x61, 0xc3, 0x28]);
        yield return Image("kv_dup_key_same", Format, i => i.Entries.Add(i.Entries[1]));
        yield return Image("kv_type_13", Format, i => i.Entries[3].Type = 13);
        yield return Image("kv_bool_2", Warn, i => i.Find("tokenizer.ggml.add_bos_token").Value = [2]);
        yield return Image("kv_string_len_past_eof", Format, i => i.SetLength("general.name", 0, 1UL << 32));
        yield return Image("kv_array_count_minus1", Format, i => i.SetLength(Tokens, 4, ulong.MaxValue));
        yield return Image("kv_array_count_1g_u8", Format, i => i.Set("x.bytes", 9, GgufImage.Array(0, 1UL << 30, new byte[16])));
        yield return Image("kv_array_nest_10000", Limit, i => i.Set("x.nest", 9, [.. Enumerable.Repeat(GgufImage.Array(9, 1), 10_000).SelectMany(b => b), .. GgufImage.Array(0, 0)]));
        yield return Image("kv_array_of_string_huge_elem", Format, i => i.Set("x.strings", 9, GgufImage.Array(8, 2, GgufImage.String("one"), BitConverter.GetBytes(ulong.MaxValue - 7))));
        yield return Image("kv_missing_architecture", Semantic, i => i.Entries.RemoveAll(e => e.Name == "general.architecture"));
        yield return Later("kv_architecture_unknown", Unsupported, i => i.SetString("general.architecture", "warp-drive"));
        yield return Image("kv_alignment_zero", Format, i => i.SetU32("general.alignment", 0));
        yield return Image("kv_alignment_2p31", Format, i => i.SetU32("general.alignment", 1u << 31));
        yield return Image("kv_alignment_string", Format, i => i.SetString("general.alignment", "32"));
        yield return Image("kv_unknown_keys_ok", Same, i =>
        {
            List<GgufImage.Entry> every = [.. GgufImage.Small().Entries.Where(e => !e.Name.StartsWith("general", StringComparison.Ordinal))];
            for (int n = 0; n < 100; n++)
                i.Set($"x.unknown.{n}", every[n % every.Count].Type, every[n % every.Count].Value);
        });
    }

    private static IEnumerable<MalformedCase> HyperParameters()
    {
        yield return Later("hp_block_count_0", Semantic, i => i.SetU32(i.Key("block_count"), 0));
        yield return Later("hp_block_count_4g", Semantic, i => i.SetU32(i.Key("block_count"), uint.MaxValue));
        yield return Later("hp_block_count_i32_neg", Semantic, i => i.Set(i.Key("block_count"), 5, BitConverter.GetBytes(-1)));
        yield return Later("hp_head_count_kv_0", Semantic, i => i.SetU32(i.Key("attention.head_count_kv"), 0));
        yield return Later("hp_head_count_3", Semantic, i => i.SetU32(i.Key("attention.head_count"), 3));
        yield return Later("hp_embd_mismatch", Semantic, i => i.SetU32(i.Key("embedding_length"), 512));
        yield return Later("hp_ctx_0", Semantic, i => i.SetU32(i.Key("context_length"), 0));
        yield return Later("hp_rms_eps_nan", Semantic, i => i.SetF32(i.Key("attention.layer_norm_rms_epsilon"), float.NaN));
        yield return Later("hp_rope_base_0", Semantic, i => i.SetF32(i.Key("rope.freq_base"), 0));
        yield return Later("hp_rope_dim_gt_head", Semantic, i => i.SetU32(i.Key("rope.dimension_count"), 4096));
        yield return Later("hp_vocab_size_bigger", Semantic, i => i.SetU32(i.Key("vocab_size"), 1_000_000));
    }

    private static IEnumerable<MalformedCase> TensorInfos()
    {
        yield return Image("t_name_len_minus1", Format, i => i.Infos[2].NameLength = ulong.MaxValue);
        yield return Image("t_name_empty", Format, i => i.Infos[2].Name = []);
        yield return Image("t_name_dup", Format, i => i.Infos[3].Name = i.Infos[2].Name);
        yield return Image("t_name_path_traversal", Semantic, i => i.Infos[2].Name = "../../x"u8.ToArray());
        yield return Image("t_ndims_5", Format, i => i[Query].Dimensions = [2, 2, 2, 2, 2]);
        yield return Image("t_dim_neg", Format, i => i[Query].Dimensions[1] = ulong.MaxValue);
        yield return Image("t_dim1_zero", Format, i => i[Query].Dimensions[1] = 0);
        yield return Image("t_dims_product_wrap_to_ok", Format, i => i[Query].Dimensions = WrappingTo(i[Query].Dimensions.Aggregate((a, b) => a * b)));
        yield return Image("t_pad_wrap_zero", Format, i => (i["output_norm.weight"].Type, i["output_norm.weight"].Dimensions) = (0, [(1UL << 62) - 1]));
        yield return Image("t_type_255", Format, i => i[Query].Type = 255);
        yield return Image("t_type_removed_4", Unsupported, i => i[Query].Type = 4);
        yield return Image("t_type_i2s_36_ambiguous", Unsupported, i => i["token_embd.weight"].Type = 36);
        yield return Image("t_offset_unaligned", Format, i => i[Query].Offset++);
        yield return Image("t_offset_minus32", Format, i => i[Query].Offset = unchecked(0UL - 32));
        yield return Image("t_offset_overlap_same", Format, i => i[Query].Offset = i["blk.0.attn_k.weight"].Offset);
        yield return Later("t_missing_required", Semantic, i => i.Infos.RemoveAll(t => t.Text == Query));
        yield return Image("t_extra_tensor_ok", Warn, i =>
        {
            GgufImage.Info extra = i["output_norm.weight"].Copy();
            extra.Name = "x.extra"u8.ToArray();
            i.Infos.Add(extra);
            i.Arrange();
        });
        yield return Image("t_order_shuffled_data_ok", Same, i =>
        {
            GgufImage.Info[] order = [.. i.Infos];
            new Random(5).Shuffle(order);
            i.Arrange(order);
        });
    }

    private static IEnumerable<MalformedCase> Data()
    {
        yield return Reader("d_nonzero_padding", Warn, i =>
        {
            // A long name moves the end of the infos, so that there is padding to soil.
            while (i.Build().Length > 0 && i.DataStart == i.PaddingStart)
                i.SetString("general.name", i.Find("general.name").Name + "x");
            byte[] file = i.Build();
            file[i.PaddingStart] = 1;
            return file;
        });
        yield return Later("d_norm_inf", Semantic, i => BinaryPrimitives.WriteSingleLittleEndian(i["output_norm.weight"].Data, float.PositiveInfinity));
        yield return Later("d_scale_nan", Semantic, i => BinaryPrimitives.WriteSingleLittleEndian(i[Query].Data.AsSpan((int)(i[Query].Dimensions[0] * i[Query].Dimensions[1] / 4)), float.NaN));
        yield return Reader("d_bitflip_meta_1", "NO_CRASH", i => Flip(i, seed: 1));
        yield return Reader("d_bitflip_data", "ACCEPT_OR_HASH_REJECT", i =>
        {
            byte[] file = i.Build();
            file[i.DataStart + 4321] ^= 0x10;
            return file;
        });
        yield return Reader("d_sparse_tail", Format, i =>
        {
            byte[] file = i.Build();
            file.AsSpan(file.Length - 100_000).Clear();
            return file;
        });
    }

    private static IEnumerable<MalformedCase> Vocabularies()
    {
        yield return Later("v_eos_eq_nvocab", Semantic, i => i.SetU32("tokenizer.ggml.eos_token_id", (uint)i[Embedding].Dimensions[1]));
        yield return Later("v_tokens_wrong_type", Semantic, i => i.Set(Tokens, 9, GgufImage.Array(4, i[Embedding].Dimensions[1], new byte[4 * i[Embedding].Dimensions[1]])));
        yield return Later("v_types_long", Semantic, i => i.Set("tokenizer.ggml.token_type", 9, GgufImage.Array(5, i[Embedding].Dimensions[1] + 1, [.. Enumerable.Repeat(BitConverter.GetBytes(1), (int)i[Embedding].Dimensions[1] + 1)])));
        yield return Image("v_token_1mb", Limit, i => i.ReplaceString(Tokens, 500, new string('a', 1 << 20)));
        yield return Later("v_byte_token_hex_neg", Semantic, i =>
        {
            i.ReplaceString(Tokens, 500, "<0x-1>");
            BinaryPrimitives.WriteInt32LittleEndian(i.Find("tokenizer.ggml.token_type").Value.AsSpan(12 + (4 * 500)), 6);
        });
        yield return Later("v_merges_bad_format", Semantic, i => i.ReplaceString(Merges, 7, "withoutaspace"));
        yield return Later("v_pre_unknown", Unsupported, i => i.SetString("tokenizer.ggml.pre", "unknown"));
    }

    private static IEnumerable<MalformedCase> Templates()
    {
        yield return Template("j_unclosed_block", "RENDER_ERROR", "{% for m in messages %}{{ m.content }}");
        yield return Template("j_nested_loops_10^9", "RENDER_LIMIT", "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor %}{% endfor %}{% endfor %}");
        yield return Template("j_string_repeat", "RENDER_LIMIT", "{{ 'a' * 2000000000 }}");
        yield return Template("j_paren_depth_20000", "RENDER_ERROR", "{{ " + new string('(', 20_000) + "1" + new string(')', 20_000) + " }}");
        yield return Template("j_dotnet_gadget", "RENDER_ERROR", "{{ messages.GetType().Assembly.GetType('System.IO.File').GetMethods() }}");
        yield return Template("j_format_string", "RENDER_ERROR", "{{ '%9999999999d' % 1 }}");
        yield return Template("j_split_regex_bomb", "RENDER_OK_OR_LIMIT", "{% set s = 'a' * 100000 %}{% for i in range(1000) %}{% set p = s.split('aa') %}{% endfor %}ok");
    }

    private const string Embedding = "token_embd.weight";

    /// <summary>One random bit of header, metadata or tensor infos flipped.</summary>
    public static byte[] Flip(GgufImage image, int seed)
    {
        byte[] file = image.Build();
        var random = new Random(seed);
        file[random.Next(image.PaddingStart)] ^= (byte)(1 << random.Next(8));
        return file;
    }

    private static MalformedCase Image(string name, string expect, Action<GgufImage> change) => Reader(name, expect, i => Changed(i, change));

    private static MalformedCase Reader(string name, string expect, Func<GgufImage, byte[]> build) => new(name, expect, true, build);

    private static MalformedCase Later(string name, string expect, Action<GgufImage> change) => new(name, expect, false, i => Changed(i, change));

    private static MalformedCase Template(string name, string expect, string template) => Later(name, expect, i => i.SetString("tokenizer.chat_template", template));

    private static byte[] Changed(GgufImage image, Action<GgufImage> change)
    {
        change(image);
        return image.Build();
    }

    private static byte[] Filled(int count, byte value) => [.. Enumerable.Repeat(value, count)];

    private static string Key(this GgufImage image, string name) => Encoding.UTF8.GetString(image.Find("general.architecture").Value.AsSpan(8)) + "." + name;

    /// <summary>Overwrites a 64-bit length inside an entry's value.</summary>
    private static void SetLength(this GgufImage image, string key, int offset, ulong length)
    {
        byte[] value = [.. image.Find(key).Value];
        BinaryPrimitives.WriteUInt64LittleEndian(value.AsSpan(offset), length);
        image.Find(key).Value = value;
    }

    private static void ReplaceString(this GgufImage image, string key, int index, string text)
    {
        byte[] value = image.Find(key).Value;
        int at = 12;
        for (int i = 0; i < index; i++)
            at += 8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(value.AsSpan(at));
        int end = at + 8 + (int)BinaryPrimitives.ReadUInt64LittleEndian(value.AsSpan(at));
        image.Find(key).Value = [.. value[..at], .. GgufImage.String(text), .. value[end..]];
    }

    /// <summary>Two positive dimensions whose product is the true one, but only modulo 2^64.</summary>
    private static ulong[] WrappingTo(ulong product)
    {
        for (ulong factor = 3; ; factor += 2)
        {
            // The inverse of an odd number modulo 2^64 by Newton's iteration: each step doubles the correct bits.
            ulong inverse = factor;
            for (int step = 0; step < 6; step++)
                inverse = unchecked(inverse * (2 - (factor * inverse)));
            ulong other = unchecked(product * inverse);
            if (other < long.MaxValue)
                return [factor, other];
        }
    }
}
